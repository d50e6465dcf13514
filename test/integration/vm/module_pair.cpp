#include "module_pair.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/klp_finalize.h"
#include "kernel/assembler.h"
#include "kernel/module_link.h"
#include "support/run.h"

namespace klp::test {
namespace {

fs::path source_file(const std::string& name) {
  return fs::path(KLP_TEST_MODULES) / name;
}

/// shipped: as distributions do; the others with the options that units of modules get.
enum class Kind { shipped, original, patched };

std::string options_of(Kind kind) {
  if (kind == Kind::shipped) return "KCFLAGS=";
  const fs::path runtime = kernel::runtime_directory();
  std::string options = " " + kernel::long_branch_option(Suite::get().kernel());
  if (kind == Kind::patched)
    options +=
        fmt::format(" -I {} -idirafter {}", (runtime / "include").string(), (runtime / "include_after").string());
  return options;
}

/// Builds NAME.ko in `directory`, where NAME.c is.
void run_kbuild(const fs::path& directory, const std::string& name, Kind kind, const fs::path& symvers) {
  write_file_atomically(directory / "Kbuild", "obj-m := " + name + ".o\nccflags-y := -I$(src)\n");
  std::vector<std::string> command = kernel::kbuild_command(Suite::get().kernel());
  for (std::string& argument : command) {
    if (!argument.starts_with("KCFLAGS=")) continue;
    argument = kind == Kind::shipped ? options_of(kind) : argument + options_of(kind);
  }
  command.push_back("M=" + directory.string());
  command.push_back("CONFIG_DEBUG_INFO_BTF_MODULES=");
  if (!symvers.empty()) command.push_back("KBUILD_EXTRA_SYMBOLS=" + symvers.string());
  // As replay() does for a module of one unit: where objtool waits for the link (IBT), that of the livepatch is meant.
  if (kind != Kind::shipped &&
      read_file(Suite::get().kernel().config).find("\nCONFIG_X86_KERNEL_IBT=y\n") != std::string::npos)
    command.push_back("objtool=true");
  command.push_back("modules");
  RunOptions options;
  options.environment = kernel::kbuild_environment();
  run_checked(command, options);
}

/// Copies the source and its headers (NAME_*.h) to `directory`, patches it there and builds it; once.
fs::path build_module(const fs::path& directory, const std::string& name, Kind kind, const std::string& patch,
                      const fs::path& symvers = {}) {
  if (fs::exists(directory / (name + ".ko"))) return directory;
  fs::create_directories(directory);
  for (const fs::directory_entry& entry : fs::directory_iterator(KLP_TEST_MODULES)) {
    const std::string file = entry.path().filename().string();
    if (file == name + ".c" || (file.starts_with(name + "_") && file.ends_with(".h")))
      fs::copy_file(entry.path(), directory / file, fs::copy_options::overwrite_existing);
  }
  if (!patch.empty())
    run_checked({"patch", "-p1", "-d", directory.string(), "-i", source_file(patch + ".patch").string()});
  run_kbuild(directory, name, kind, symvers);
  return directory;
}

fs::path directory_of(const std::string& name) {
  return Suite::get().directory("module-" + name);
}

}  // namespace

fs::path test_module(const std::string& name, const std::string& uses) {
  const fs::path symvers = uses.empty() ? fs::path() : directory_of(uses) / "shipped/Module.symvers";
  return build_module(directory_of(name) / "shipped", name, Kind::shipped, {}, symvers) / (name + ".ko");
}

ModulePair::ModulePair(const std::string& name, const std::string& patch)
    : name_(name),
      patch_(patch),
      module_(test_module(name)),
      original_(build_module(directory_of(name) / "original", name, Kind::original, {}) / (name + ".o")),
      patched_(build_module(directory_of(name) / patch, name, Kind::patched, patch) / (name + ".o")),
      shipped_object_(elf::ElfObject::read(module_)),
      shipped_(shipped_object_) {}

std::unique_ptr<Livepatch> ModulePair::made(bool replace, Without safeguard) const {
  Suite& suite = Suite::get();
  const elf::ElfObject original = elf::ElfObject::read(original_), patched = elf::ElfObject::read(patched_);
  diff::UnitInput input;
  input.original = &original;
  input.patched = &patched;
  input.unit = name_ + ".o";
  input.object = name_;
  input.shipped = &shipped_;
  input.vmlinux = &suite.vmlinux();
  input.exports = &suite.exports();
  input.table_sizes = suite.table_sizes();
  input.ignore_lateness = safeguard == Without::late_code;
  input.check_identity = suite.is_x86();  // elsewhere the shipped module has the options of no livepatch
  const diff::UnitResult result = diff::analyse(input);
  for (const Finding& finding : result.findings.sorted()) UNSCOPED_INFO(finding.code << ": " << finding.message);
  REQUIRE_FALSE(result.findings.has_refusal());
  REQUIRE(result.changed);

  kernel::ModuleLink link;
  link.directory = directory_of(name_) / fmt::format("{}-livepatch-{}", patch_, static_cast<int>(safeguard));
  fs::create_directories(link.directory);
  link.name = (safeguard == Without::nothing ? "livepatch_" : "broken_") + patch_;
  std::replace(link.name.begin(), link.name.end(), '-', '_');
  link.objects = {link.directory / "patch_unit.o"};
  link.replace = replace;
  link.late_references = safeguard != Without::clearing && diff::has_late_references(result.plan);
  link.may_refuse_modules = diff::may_refuse_module(result.plan);
  link.kernel_leaves_references = kernel::leaves_references(suite.vmlinux());
  diff::emit(result.plan).write(link.objects.front());
  auto livepatch = std::make_unique<Livepatch>();
  livepatch->name = link.name;
  livepatch->file = link.directory / (link.name + ".ko");
  elf::finalize_klp(kernel::link_module(suite.kernel(), link), livepatch->file);
  livepatch->add_unit(patched_, result.plan, shipped_);
  return livepatch;
}

}  // namespace klp::test
