// Units of the real kernel, compiled as recorded: each equals the shipped binary, and none differs from itself. 40
// units spread over the tree, 300 with KLP_TEST_ALL.
#include <catch2/catch.hpp>

#include <atomic>
#include <cstdlib>
#include <future>
#include <map>
#include <thread>

#include "diff/engine.h"
#include "diff/indirect_entries.h"
#include "elf/symvers.h"
#include "kernel/assembler.h"
#include "kernel/index.h"
#include "kernel/replay.h"

namespace klp {
namespace {

/// Not linked into vmlinux or a module as they are compiled: other address spaces, other stages of the boot.
bool is_special(const std::string& unit) {
  for (const char* part : {"/boot/", "/vdso", "realmode/", "purgatory/", "efi/libstub", "scripts/", "tools/", "usr/",
                           "lib/vdso", ".mod.o", "/asm-offsets", "asn1.o", "samples/"}) {
    if (unit.find(part) != std::string::npos) return true;
  }
  return false;
}

std::vector<const kernel::Unit*> spread(const kernel::KernelIndex& index, size_t count) {
  std::vector<const kernel::Unit*> all;
  for (const auto& [name, unit] : index.units()) {
    if (unit.source.ends_with(".c") && name.ends_with(".o") && unit.objects.size() == 1 && !is_special(name))
      all.push_back(&unit);
  }
  std::vector<const kernel::Unit*> chosen;
  for (size_t i = 0; i < count; ++i) chosen.push_back(all[(2 * i + 1) * all.size() / (2 * count)]);
  // Prints the distribution's package version; is built by another directory's Makefile.
  for (const char* name : {"lib/dump_stack.o", "virt/kvm/coalesced_mmio.o"}) chosen.push_back(&index.units().at(name));
  return chosen;
}

std::string describe(const diff::UnitResult& result) {
  std::string text;
  for (const Finding& f : result.findings.list()) text += fmt::format("{} {}: {}\n", f.code, f.symbol, f.message);
  for (const diff::FunctionReport& f : result.functions)
    text += fmt::format("{} {}: {}\n", f.change, f.name, f.because.empty() ? "" : f.because[0]);
  return text;
}

/// Compiles all units on all processors; the objects lie in `work` under their numbers.
std::vector<kernel::ReplayResult> compile(const std::vector<const kernel::Unit*>& units, const kernel::Kernel& kernel,
                                          const fs::path& work) {
  std::vector<kernel::ReplayResult> results(units.size());
  std::atomic<size_t> next = 0;
  const auto worker = [&] {
    for (size_t i = next++; i < units.size(); i = next++)
      results[i] = kernel::replay(kernel::with_long_branches(*units[i], kernel), kernel.source, kernel.source,
                                  work / fmt::format("{}.o", i));
  };
  std::vector<std::future<void>> workers;
  for (unsigned n = 0; n < std::max(1U, std::thread::hardware_concurrency()); ++n)
    workers.push_back(std::async(std::launch::async, worker));
  for (std::future<void>& w : workers) w.get();
  return results;
}

}  // namespace

// The engine asks only about what is not exported. Trampolines of static calls and return thunks are exported as well,
// for direct branches only.
TEST_CASE("what the kernel exports may be called through a pointer, what it seals may not") {
  const char* name = std::getenv("KLP_TEST_KERNEL");
  kernel::KernelSelection selection;
  selection.name = name != nullptr ? name : "debian:6.1-cloud-amd64";
  const kernel::Kernel kernel = kernel::open_kernel(selection);
  const elf::ElfObject vmlinux = elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only);
  const elf::Exports exports = elf::read_symvers(kernel.symvers);
  const arch::Arch& arch = arch::arch_for(vmlinux.machine());
  if (!diff::checks_indirect_calls(vmlinux, arch)) return;
  const diff::IndirectEntries entries(vmlinux, arch);
  size_t allowed = 0, refused = 0, exported = 0;
  for (const elf::Symbol& symbol : vmlinux.symbols()) {
    if (!symbol.is_function() || !symbol.is_defined() || symbol.section->name != ".text") continue;
    const bool may = entries.allows(symbol);
    ++(may ? allowed : refused);
    const auto found = exports.find(symbol.name);
    if (symbol.is_local() || found == exports.end() || found->second.module != "vmlinux") continue;
    if (symbol.name.starts_with("__SCT__") || symbol.name.starts_with("srso_")) continue;
    ++exported;
    INFO(symbol.name);
    CHECK(may);
  }
  fmt::print("{} functions may be called through a pointer, all {} exported ones among them; {} may not\n", allowed,
             exported, refused);
  CHECK(exported > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("real units equal the shipped kernel and themselves") {
  const char* name = std::getenv("KLP_TEST_KERNEL");
  const kernel::Kernel kernel =
      kernel::open_kernel({name != nullptr ? name : "debian:6.1-cloud-amd64", {}, {}, {}, {}, {}, {}, {}, {}});
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const elf::ElfObject vmlinux = elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only);
  const elf::SymbolIndex vmlinux_index(vmlinux);
  const elf::Exports exports = elf::read_symvers(kernel.symvers);
  const TempDir work(fs::temp_directory_path(), "klp-real-objects");

  size_t functions = 0, matched = 0, overridden = 0;
  const std::vector<const kernel::Unit*> units = spread(index, std::getenv("KLP_TEST_ALL") != nullptr ? 300 : 40);
  const std::vector<kernel::ReplayResult> compiled = compile(units, kernel, work.path());
  for (size_t i = 0; i < units.size(); ++i) {
    const kernel::Unit* unit = units[i];
    INFO(unit->unit << "\n" << compiled[i].output);
    REQUIRE(compiled[i].good);
    const elf::ElfObject object = elf::ElfObject::read(work.path() / fmt::format("{}.o", i));
    const std::string& owner = unit->objects.front();
    std::optional<elf::ElfObject> module;
    std::optional<elf::SymbolIndex> module_index;
    if (owner != "vmlinux") {
      const auto path = kernel::find_module(kernel, owner);
      REQUIRE(path.has_value());
      module = elf::ElfObject::read(*path);
      module_index.emplace(*module);
    }
    diff::UnitInput input;
    input.original = input.patched = &object;
    input.unit = unit->unit;
    input.object = owner;
    input.shipped = module_index ? &*module_index : &vmlinux_index;
    input.vmlinux = &vmlinux_index;
    input.exports = &exports;
    input.table_sizes.structs = index.struct_sizes();
    const diff::UnitResult result = diff::analyse(input);
    INFO(describe(result));
    CHECK_FALSE(result.changed);
    CHECK(result.functions.empty());
    CHECK(result.data.empty());
    CHECK(result.identity.different == 0);
    CHECK(result.identity.absent == 0);
    matched += result.identity.matched;
    overridden += result.identity.overridden;
    functions +=
        result.identity.matched + result.identity.different + result.identity.absent + result.identity.overridden;
  }
  fmt::print("{} functions: {} equal the shipped ones, {} weak ones are overridden\n", functions, matched, overridden);
  CHECK(functions > 50);
}

}  // namespace klp
