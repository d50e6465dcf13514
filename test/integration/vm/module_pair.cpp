#include "module_pair.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/klp_finalize.h"
#include "kernel/module_link.h"
#include "support/run.h"

namespace klp::test {
namespace {

fs::path source_file(const std::string& name) {
  return fs::path(KLP_TEST_MODULES) / name;
}

/// Builds NAME.ko in `directory`, where NAME.c is; `as_for_livepatch`: with the options that units of modules get.
void run_kbuild(const fs::path& directory, const std::string& name, bool as_for_livepatch) {
  write_file_atomically(directory / "Kbuild", "obj-m := " + name + ".o\n");
  std::vector<std::string> command = kernel::kbuild_command(Suite::get().kernel());
  for (std::string& argument : command) {
    if (!argument.starts_with("KCFLAGS=")) continue;
    if (as_for_livepatch)
      argument += " -include " + (kernel::runtime_directory() / "long_branch_sites.h").string();
    else
      argument = "KCFLAGS=";
  }
  command.push_back("M=" + directory.string());
  command.push_back("CONFIG_DEBUG_INFO_BTF_MODULES=");
  // As replay() does for a module of one unit: where objtool waits for the link (IBT), that of the livepatch is meant.
  if (as_for_livepatch &&
      read_file(Suite::get().kernel().config).find("\nCONFIG_X86_KERNEL_IBT=y\n") != std::string::npos)
    command.push_back("objtool=true");
  command.push_back("modules");
  RunOptions options;
  options.environment = kernel::kbuild_environment();
  run_checked(command, options);
}

fs::path made_directory(const fs::path& parent, const std::string& name) {
  fs::create_directories(parent / name);
  return parent / name;
}

/// Copies the source to parent/KIND, patches it there and builds it.
fs::path build_module(const fs::path& parent, const std::string& kind, const std::string& name,
                      const std::string& patch) {
  const fs::path directory = made_directory(parent, kind);
  fs::copy_file(source_file(name + ".c"), directory / (name + ".c"), fs::copy_options::overwrite_existing);
  if (!patch.empty())
    run_checked({"patch", "-p1", "-d", directory.string(), "-i", source_file(patch + ".patch").string()});
  run_kbuild(directory, name, kind != "shipped");
  return directory;
}

}  // namespace

ModulePair::ModulePair(const std::string& name, const std::string& patch)
    : name_(name),
      directory_(Suite::get().directory(name + "-" + patch)),
      module_(build_module(directory_, "shipped", name, {}) / (name + ".ko")),
      original_(build_module(directory_, "original", name, {}) / (name + ".o")),
      patched_(build_module(directory_, "patched", name, patch) / (name + ".o")),
      shipped_object_(elf::ElfObject::read(module_)),
      shipped_(shipped_object_) {}

std::unique_ptr<Livepatch> ModulePair::livepatch() const {
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
  const diff::UnitResult result = diff::analyse(input);
  for (const Finding& finding : result.findings.sorted()) UNSCOPED_INFO(finding.code << ": " << finding.message);
  REQUIRE_FALSE(result.findings.has_refusal());
  REQUIRE(result.changed);

  kernel::ModuleLink link;
  link.directory = made_directory(directory_, "livepatch");
  link.name = directory_.filename().string();
  std::replace(link.name.begin(), link.name.end(), '-', '_');
  link.objects = {link.directory / "patch_unit.o"};
  diff::emit(result.plan).write(link.objects.front());
  auto livepatch = std::make_unique<Livepatch>();
  livepatch->name = link.name;
  livepatch->file = directory_ / (link.name + ".ko");
  elf::finalize_klp(kernel::link_module(suite.kernel(), link), livepatch->file);
  livepatch->add_unit(patched_, result.plan, shipped_);
  return livepatch;
}

}  // namespace klp::test
