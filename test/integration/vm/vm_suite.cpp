#include "vm_suite.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <sstream>

#include "build_pipeline.h"
#include "kernel/index.h"
#include "kernel/target.h"
#include "module_objtool.h"
#include "support/error.h"
#include "support/run.h"

namespace klp::test {
namespace {

std::string environment(const char* name, const std::string& otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr || *given == '\0' ? otherwise : given;
}

kernel::KernelSelection test_kernel() {
  kernel::KernelSelection selection;
  const std::string name = environment("KLP_TEST_KERNEL", "debian:6.1-cloud-amd64");
  if (name.find('/') == std::string::npos) {
    selection.name = name;
    return selection;
  }
  const fs::path directory = name;
  selection.source = directory / "source";
  selection.config = directory / "config";
  selection.symvers = directory / "Module.symvers";
  selection.vmlinux = directory / "vmlinux";
  selection.modules = directory / "modules";
  return selection;
}

kernel::Kernel open_test_kernel(const kernel::KernelSelection& selection) {
  return with_context("the VM tests need the kernel " + selection.name + selection.vmlinux.string() +
                          " (KLP_TEST_KERNEL names another), fetched or with a network to fetch it",
                      [&] { return kernel::open_kernel(selection); });
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// Shows what the guest said where a check fails.
std::string outputs_of(const vm::LivepatchCheckResult& result) {
  std::string text;
  for (const auto& o : result.outputs) {
    text += fmt::format("$ {}\nbefore:  {}patched: {}after:   {}", o.command, o.before, o.patched, o.after);
  }
  return text;
}

/// The program for what the guest's shell cannot do. Static: the guest has no libraries.
fs::path build_probe(const kernel::Kernel& kernel, const fs::path& directory) {
  const fs::path program = directory / "probe";
  const fs::path source = fs::path(KLP_TEST_GUEST) / "probe.c";
  const std::string prefix = kernel.arch == "x86_64" ? "" : std::string(kernel::target_named(kernel.arch).triplet);
  run_checked({prefix + "gcc", "-static", "-O1", "-Wall", "-Werror", "-o", program.string(), source.string()});
  return program;
}

std::unique_ptr<Livepatch> build_livepatch(Suite& suite, const std::string& patch, bool replace) {
  tools::BuildOptions options;
  options.replace = replace;
  options.kernel = suite.selection();
  options.patches = {patch_file(patch)};
  options.work_dir = suite.directory(patch);
  options.output = options.work_dir;
  options.keep = true;
  const tools::BuildResult result = tools::run_build(options);
  INFO(report::report_text(result.report, false));
  REQUIRE(result.report.outcome == report::Outcome::ok);
  auto livepatch = std::make_unique<Livepatch>();
  livepatch->name = result.report.module->name;
  livepatch->file = result.report.module->file;
  for (const diff::PatchObject& plan : result.plans) {
    for (const tools::BuiltUnit& unit : result.units) {
      if (unit.unit == plan.unit && unit.object == plan.object)
        livepatch->add_unit(unit.patched, plan, suite.shipped(plan.object));
    }
  }
  REQUIRE(livepatch->units.size() == result.plans.size());
  livepatch->objtool_flags = objtool_flags(options.work_dir, livepatch->name);
  if (!livepatch->objtool_flags.empty())
    CHECK(objtool_complaints(suite.kernel(), livepatch->objtool_flags, livepatch->file) == "");
  return livepatch;
}

}  // namespace

void Livepatch::add_unit(const fs::path& patched, const diff::PatchObject& plan, const elf::SymbolIndex& shipped) {
  objects.push_back(elf::ElfObject::read(patched));
  ReadBackUnit unit;
  unit.patched = &objects.back();
  unit.object = plan.object;
  unit.shipped = &shipped;
  for (const diff::PlanSymbol& symbol : plan.symbols) {
    if (symbol.type == elf::kSttFunc && !symbol.name.empty()) unit.functions.insert(symbol.name);
  }
  for (const diff::PlanFunction& function : plan.functions) unit.replaced.insert(function.old_name);
  units.push_back(std::move(unit));
}

Suite& Suite::get() {
  static Suite suite;
  return suite;
}

Suite::Suite()
    : selection_(test_kernel()),
      kernel_(open_test_kernel(selection_)),
      vmlinux_object_(elf::ElfObject::read(kernel_.vmlinux, elf::ElfObject::Want::symbols_only)),
      vmlinux_(vmlinux_object_),
      exports_(elf::read_symvers(kernel_.symvers)),
      directory_(fs::temp_directory_path(), "klp-vm-tests"),
      can_read_back_(has_option("PROC_KCORE")) {
  sizes_.structs = kernel::KernelIndex::open(kernel_).struct_sizes();
  if (!can_read_back_) WARN("not run: the read-back, as this kernel has no /proc/kcore");
}

bool Suite::has_option(const std::string& name) const {
  const std::string config = "\n" + read_file(kernel_.config);
  return config.find("\nCONFIG_" + name + "=y\n") != config.npos ||
         config.find("\nCONFIG_" + name + "=m\n") != config.npos;
}

bool Suite::lacks(const std::string& option) const {
  if (has_option(option)) return false;
  WARN("not run: this kernel has no CONFIG_" + option);
  return true;
}

const elf::SymbolIndex& Suite::shipped(const std::string& object) {
  if (object == "vmlinux") return vmlinux_;
  auto& slot = modules_[object];
  if (slot == nullptr) {
    const auto path = kernel::find_module(kernel_, object);
    check(path.has_value(), "the kernel has no module {}", object);
    slot = std::make_unique<Module>(*path);
  }
  return slot->index;
}

fs::path Suite::directory(const std::string& name) const {
  const fs::path path = directory_.path() / name;
  fs::create_directories(path);
  return path;
}

vm::Vm& Suite::machine() {
  if (vm_ != nullptr && vm_->alive()) return *vm_;
  check(!unbootable_, "the guest did not boot before");
  vm_.reset();
  vm::VmOptions options;
  options.directory = directory(fmt::format("boot-{}", ++boots_));
  options.cpus = 2;
  options.cpu_model = environment("KLP_TEST_CPU", options.cpu_model);
  options.append = "nokaslr " + environment("KLP_TEST_APPEND", "");
  if (!is_x86()) options.kernel_modules = {module_to_patch().name};
  for (const char* module : {"zram", "nfsd", "xfs", "squashfs", "loop"}) {
    if (kernel::find_module(kernel_, module)) options.kernel_modules.emplace_back(module);
  }
  options.files = {build_probe(kernel_, options.directory)};
  unbootable_ = true;
  vm_ = std::make_unique<vm::Vm>(kernel_, options);
  unbootable_ = false;
  // Two processors are too slow where a transition rewrites every cond_resched() (lib/vm/vm.cpp): the second one waits
  // for the test that needs it.
  if (vmlinux_.maybe_global("sched_dynamic_klp_enable") != nullptr)
    check(vm_->run("echo 0 >/sys/devices/system/cpu/cpu1/online").status == 0, "the second processor stays on");
  return *vm_;
}

const Livepatch& Suite::livepatch(const std::string& patch, bool replace) {
  auto& slot = livepatches_[patch];
  if (slot == nullptr) slot = build_livepatch(*this, patch, replace);
  return *slot;
}

ModuleToPatch module_to_patch() {
  if (Suite::get().is_x86())
    return {"zram", "cat /sys/block/zram0/initstate", "0\n", "state 0 major ", " deflate 1 none 0\n"};
  return {"ext4", "cat /sys/fs/ext4/features/lazy_itable_init", "supported\n", "patched ext4: ", "IO failure\n"};
}

fs::path patch_file(const std::string& name) {
  const std::string& release = Suite::get().kernel().release;
  const std::string series = release.substr(0, release.find('.', release.find('.') + 1));
  const fs::path of_arch = fs::path(KLP_TEST_PATCHES) / Suite::get().kernel().arch / (name + ".patch");
  if (fs::exists(of_arch)) return of_arch;
  const fs::path own = fs::path(KLP_TEST_PATCHES) / series / (name + ".patch");
  return fs::exists(own) ? own : fs::path(KLP_TEST_PATCHES) / (name + ".patch");
}

size_t patched_line(const std::string& patch, const std::string& file, const std::string& text) {
  Suite& suite = Suite::get();
  const fs::path directory = suite.directory(patch + "-source"), copy = directory / file;
  fs::create_directories(copy.parent_path());
  fs::copy_file(suite.kernel().source / file, copy, fs::copy_options::overwrite_existing);
  run_checked({"patch", "-p1", "-d", directory.string(), "-i", patch_file(patch).string()});
  std::istringstream lines(read_file(copy));
  size_t number = 0, found = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find(text) == std::string::npos) continue;
    check(found == 0, "{} has {} several times", file, text);
    found = number;
  }
  check(found != 0, "{} has no {}", file, text);
  return found;
}

vm::LivepatchCheck commands(std::vector<std::string> list) {
  vm::LivepatchCheck check;
  check.commands = std::move(list);
  return check;
}

void load(const Livepatch& livepatch) {
  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(livepatch.file);
  const auto said = machine.run(
      fmt::format("insmod /{0}.ko && for i in $(seq 600); do [ $(cat /sys/kernel/livepatch/{0}/transition) = 0 ] "
                  "&& exit 0; usleep 50000; "
                  "done; exit 1",
                  livepatch.name));
  INFO(said.output << machine.console_tail());
  REQUIRE(said.status == 0);
}

void disable_and_unload(const std::string& name) {
  vm::Vm& machine = Suite::get().machine();
  const auto said =
      machine.run(fmt::format("echo 0 >/sys/kernel/livepatch/{0}/enabled; for i in $(seq 600); do rmmod {0} "
                              "2>/dev/null && exit 0; usleep 50000; "
                              "done; exit 1",
                              name));
  INFO(machine.console_tail());
  REQUIRE(said.status == 0);
}

ReadBackResult read_back_now(const Livepatch& livepatch) {
  Suite& suite = Suite::get();
  return read_back(suite.machine(), livepatch.name, suite.vmlinux(), suite.table_sizes(), livepatch.units);
}

vm::LivepatchCheckResult run_livepatch(const Livepatch& livepatch, vm::LivepatchCheck check) {
  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(livepatch.file);
  check.modules = {livepatch.file};
  ReadBackResult memory;
  const auto then = check.while_patched;
  check.while_patched = [&](vm::Vm& vm) {
    try {
      if (Suite::get().can_read_back()) memory = read_back_now(livepatch);
    } catch (const vm::GuestFault&) {
      throw;
    } catch (const Error& error) {
      if (error.status() == ExitStatus::interrupted) throw;
      throw vm::GuestFault(fmt::format("read-back: {}", error.what()));  // so that the livepatch is unloaded
    }
    if (then) then(vm);
  };
  const vm::LivepatchCheckResult result = vm::check_livepatch(machine, check);
  INFO(outputs_of(result));
  INFO(result.failure + "\n" + result.console_tail);
  REQUIRE(result.good);
  if (!Suite::get().can_read_back()) return result;
  INFO(joined(memory.differences));
  CHECK(memory.differences.empty());
  CHECK(memory.functions > 0);
  CHECK(memory.references > 0);
  CHECK(memory.bytes > 0);
  return result;
}

}  // namespace klp::test
