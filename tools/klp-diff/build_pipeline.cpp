// Phases in order, each making values for the next; only the workspace, the link and the last write touch files.
#include "build_pipeline.h"

#include <algorithm>
#include <future>
#include <map>
#include <memory>

#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/klp_finalize.h"
#include "kernel/index.h"
#include "kernel/module_link.h"
#include "kernel/patch_set.h"
#include "kernel/workspace.h"
#include "report_fill.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"
#include "verify/plan_check.h"

namespace klp::tools {
namespace {

constexpr size_t kMaxModuleName = 55;  // MODULE_NAME_LEN - 1

std::string module_name(const BuildOptions& options) {
  if (!options.name.empty()) {
    const bool good = options.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos &&
                      options.name.size() <= kMaxModuleName;
    if (!good)
      throw Error(fmt::format("'{}' cannot be a module's name", options.name),
                  "use a-z, 0-9 and _, at most 55 characters", ExitStatus::usage);
    return options.name;
  }
  std::string name = "livepatch_";
  for (const char c : options.patches.front().stem().string()) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? static_cast<char>(std::tolower(c)) : '_';
  }
  return name.substr(0, kMaxModuleName);
}

/// The shipped binaries, read at first use.
class Shipped {
 public:
  explicit Shipped(const kernel::Kernel& kernel)
      : kernel_(kernel),
        vmlinux_object_(elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only)),
        vmlinux_(vmlinux_object_),
        exports_(elf::read_symvers(kernel.symvers)) {}

  const elf::SymbolIndex& vmlinux() const { return vmlinux_; }
  const elf::Exports& exports() const { return exports_; }

  const elf::SymbolIndex& of(const std::string& object) {
    if (object == "vmlinux") return vmlinux_;
    auto& slot = modules_[object];
    if (slot == nullptr) {
      const auto path = kernel::find_module(kernel_, object);
      if (!path)
        throw Error(fmt::format("the kernel's module {} is not in {}", object, kernel_.modules.string()),
                    "fetch the kernel again, or give --modules");
      slot = std::make_unique<Module>(elf::ElfObject::read(*path));
    }
    return slot->index;
  }

 private:
  struct Module {
    explicit Module(elf::ElfObject read) : object(std::move(read)), index(object) {}
    elf::ElfObject object;
    elf::SymbolIndex index;
  };
  const kernel::Kernel& kernel_;
  elf::ElfObject vmlinux_object_;
  elf::SymbolIndex vmlinux_;
  elf::Exports exports_;
  std::map<std::string, std::unique_ptr<Module>> modules_;
};

struct ObjectPair {
  const kernel::CompiledUnit* compiled;
  elf::ElfObject original, patched;
  std::set<std::string, std::less<>> added, undefined;
};

class Build {
 public:
  explicit Build(const BuildOptions& options) : options_(options), name_(module_name(options)) {
    check_accept(options_.accept);
    result_.report.command = "build";
    result_.report.version = KLP_VERSION;
  }

  BuildResult run() {
    clock_.begin("kernel");
    check_output();
    const std::vector<kernel::TouchedFile> named =
        with_hint("give unified diffs (git diff, git format-patch, diff -ru) whose paths lie in the kernel tree",
                  [&] { return kernel::read_patches(options_.patches); });
    kernel_ = kernel::open_kernel(options_.kernel);
    result_.report.kernel = report_kernel(kernel_);
    const kernel::KernelIndex index = kernel::KernelIndex::open(kernel_);
    kernel::check_paths(named, findings_);

    TempDir directory(options_.work_dir.empty() ? fs::temp_directory_path() : options_.work_dir, "klp-diff");
    if (options_.keep) keep(directory);
    fs::create_directories(directory.path() / "tree");
    fs::create_directories(directory.path() / "module");
    // Programs that are ended on the way (patch, the compiler) do not all remove their own temporary files.
    const fs::path scratch = fs::absolute(directory.path()) / "scratch";
    fs::create_directories(scratch);
    setenv("TMPDIR", scratch.c_str(), 1);

    auto shipped = std::async(std::launch::async, [this] { return std::make_unique<Shipped>(kernel_); });
    auto runtime = std::async(std::launch::async, [this] { return kernel::runtime_objects(kernel_); });
    clock_.begin("patch");
    kernel::Workspace workspace(kernel_, index, directory.path() / "tree");
    Findings of_applying;
    const std::vector<kernel::TouchedFile> touched = workspace.apply(options_.patches, of_applying);
    findings_.add(of_applying);
    // A half-applied patch says nothing about the rest; what the paths alone speak against leaves the rest worth a
    // look.
    if (of_applying.has_refusal()) return finish(report::Outcome::refused);
    const auto units = workspace.units_to_compile(touched, findings_);

    clock_.begin("compile");
    const auto compiled = workspace.compile(units, touched, {options_.jobs, options_.use_cache}, findings_);
    clock_.begin("diff");
    const std::unique_ptr<Shipped> binaries = shipped.get();
    analyse_units(compiled, index, *binaries);
    // Checkpoint: everything that speaks against the patch is known.
    for (const std::string& unused : findings_.accept(options_.accept))
      log("build").warn("--accept {}: nothing to accept", unused);
    if (findings_.has_refusal()) return finish(report::Outcome::refused);
    if (plans_.empty()) {
      findings_.add({Severity::note, "unchanged", "", "", "",
                     "the patch changes no code and no data of any unit of this kernel", ""});
      return finish(report::Outcome::unchanged);
    }
    if (options_.plan) return finish(report::Outcome::ok);
    clock_.begin("link");
    runtime.get();
    write_module(directory.path() / "module");
    return finish(report::Outcome::ok);
  }

 private:
  void keep(TempDir& directory) {
    directory.keep();
    fmt::print(stderr, "working directory: {}\n", directory.path().string());
  }

  /// A missing directory is better known before the work than after it.
  void check_output() const {
    const fs::path parent = options_.output.parent_path();
    if (parent.empty() || fs::is_directory(parent)) return;
    throw Error(fmt::format("-o {}: {} is not a directory", options_.output.string(), parent.string()),
                "make the directory first, or choose another one");
  }

  static void check_accept(const std::vector<std::string>& specs) {
    for (const std::string& spec : specs) {
      if (is_acceptable_code(spec.substr(0, spec.find(':')))) continue;
      throw Error(fmt::format("--accept {}: this refusal is not the author's to judge", spec),
                  "those that are: init-code, exit-code, changed-data, changed-layout, changed-prototype",
                  ExitStatus::usage);
    }
  }

  void analyse_units(const std::vector<kernel::CompiledUnit>& compiled, const kernel::KernelIndex& index,
                     Shipped& binaries) {
    std::vector<ObjectPair> pairs;
    for (const kernel::CompiledUnit& unit : compiled) {
      throw_if_interrupted();
      ObjectPair pair{&unit, elf::ElfObject::read(unit.original), elf::ElfObject::read(unit.patched), {}, {}};
      pair.added = diff::new_globals(pair.original, pair.patched);
      pair.undefined = diff::undefined_names(pair.patched);
      pairs.push_back(std::move(pair));
    }
    for (const ObjectPair& pair : pairs) {
      for (const std::string& object : pair.compiled->unit->objects) analyse_unit(pair, pairs, object, index, binaries);
    }
  }

  void analyse_unit(const ObjectPair& pair, const std::vector<ObjectPair>& all, const std::string& object,
                    const kernel::KernelIndex& index, Shipped& binaries) {
    throw_if_interrupted();
    diff::UnitInput input;
    input.original = &pair.original;
    input.patched = &pair.patched;
    input.unit = pair.compiled->unit->unit;
    input.object = object;
    input.shipped = &binaries.of(object);
    input.vmlinux = &binaries.vmlinux();
    input.exports = &binaries.exports();
    input.table_sizes.structs = index.struct_sizes();
    for (const ObjectPair& other : all) {
      if (&other == &pair) continue;
      input.provided.insert(other.added.begin(), other.added.end());
      input.wanted.insert(other.undefined.begin(), other.undefined.end());
    }
    diff::UnitResult result = diff::analyse(input);
    findings_.add(result.findings);
    if (options_.keep) result_.units.push_back({input.unit, object, pair.compiled->patched});
    report::ReportUnit unit = report_unit(input.unit, object, result);
    if (!pair.compiled->line_marks)
      unit.notes.push_back("compiled without #line marks: functions that only use __LINE__ may count as changed");
    result_.report.units.push_back(std::move(unit));
    if (result.changed && !result.findings.has_refusal()) plans_.push_back(std::move(result.plan));
  }

  void write_module(const fs::path& directory) {
    const Progress progress("linking " + name_);
    kernel::ModuleLink link;
    link.name = name_;
    link.replace = options_.replace;
    link.directory = directory;
    add_modinfo(link);
    for (const diff::PatchObject& plan : plans_) {
      check(plan.object != name_, "the module cannot have the name of the module it patches: {}", name_);
      std::string file =
          plan.unit.substr(0, plan.unit.rfind('.')) + (plan.object == "vmlinux" ? "" : "@" + plan.object);
      std::replace_if(
          file.begin(), file.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
      link.objects.push_back(directory / fmt::format("patch_{}.o", file));
      diff::emit(plan).write(link.objects.back());
    }
    const fs::path linked = kernel::link_module(kernel_, link);
    const fs::path final_module = directory / (name_ + ".final.ko");
    elf::finalize_klp(linked, final_module);
    clock_.begin("verify");
    verify::check_against_plan(elf::ElfObject::read(final_module), plans_);
    deliver(final_module);
  }

  void add_modinfo(kernel::ModuleLink& link) const {
    link.modinfo["klp_diff"] = KLP_VERSION;
    std::string digests;
    for (const auto& patch : options_.patches)
      digests += (digests.empty() ? "" : ",") + sha256_file(patch).substr(0, 16);
    link.modinfo["klp_diff_patches"] = digests;
    std::string accepted;
    for (const std::string& spec : options_.accept) accepted += (accepted.empty() ? "" : ",") + spec;
    if (!accepted.empty()) link.modinfo["klp_diff_accepted"] = accepted;
    // .modinfo holds import_ns once for each namespace; one key can stand for one only, so further ones get their own
    // name in the map.
    std::set<std::string> namespaces;
    for (const diff::PatchObject& plan : plans_) namespaces.insert(plan.namespaces.begin(), plan.namespaces.end());
    check(namespaces.size() <= 1, "symbols of several export namespaces are used: not supported yet");
    if (!namespaces.empty()) link.modinfo["import_ns"] = *namespaces.begin();
  }

  void deliver(const fs::path& final_module) {
    fs::path target = options_.output.empty() ? fs::path(name_ + ".ko") : options_.output;
    if (fs::is_directory(target)) target /= name_ + ".ko";
    throw_if_interrupted();
    const std::string content = read_file(final_module);
    write_file_atomically(target, content);
    result_.report.module = report::ReportModule{name_, target.string(), content.size(), sha256_hex(content)};
  }

  BuildResult finish(report::Outcome outcome) {
    result_.report.outcome = outcome;
    result_.report.findings = findings_.sorted();
    if (options_.plan && outcome == report::Outcome::ok) {
      for (const diff::PatchObject& plan : plans_) result_.plan += diff::dump(plan);
    }
    if (options_.keep) result_.plans = std::move(plans_);
    result_.report.timing_ms = clock_.finish();
    return std::move(result_);
  }

  const BuildOptions& options_;
  std::string name_;
  kernel::Kernel kernel_;
  Findings findings_;
  std::vector<diff::PatchObject> plans_;
  BuildResult result_;
  report::PhaseClock clock_;
};

}  // namespace

BuildResult run_build(const BuildOptions& options) {
  return Build(options).run();
}

}  // namespace klp::tools
