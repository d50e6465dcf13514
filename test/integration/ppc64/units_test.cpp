// Many units of a ppc64le kernel: compared with itself each is unchanged, every call has its NOP, and the assembler
// that puts them there changes nothing else. 40 of them, with $KLP_TEST_ALL 200. And what other compilers make.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "diff/engine.h"
#include "kernel/index.h"
#include "kernel/prepare.h"
#include "kernel/replay.h"
#include "kernel/toolchain.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/files.h"
#include "support/run.h"

using namespace klp;

namespace {

constexpr uint32_t kNop = 0x60000000;

kernel::Kernel test_kernel() {
  const char* place = std::getenv("KLP_TEST_KERNEL");
  check(place != nullptr, "KLP_TEST_KERNEL is to name the directory that scripts/ppc64-kernel prints");
  const fs::path directory = place;
  kernel::KernelSelection selection;
  selection.source = directory / "source";
  selection.config = directory / "config";
  selection.symvers = directory / "Module.symvers";
  selection.vmlinux = directory / "vmlinux";
  selection.modules = directory / "modules";
  selection.arch = "ppc64";
  return kernel::open_kernel(selection);
}

kernel::Kernel debian_kernel() {
  kernel::KernelSelection selection;
  selection.name = "debian:6.1-powerpc64le";
  selection.for_comparison = true;
  return kernel::open_kernel(selection);
}

/// A unit's object for a module, and as the kernel's own options make it.
std::optional<std::pair<elf::ElfObject, elf::ElfObject>> compiled_both_ways(const kernel::Kernel& kernel,
                                                                            kernel::Unit unit,
                                                                            const fs::path& directory) {
  if (unit.objects.size() != 1) return std::nullopt;
  const fs::path ours = directory / "module.o", shipped = directory / "shipped.o";
  if (!kernel::replay(unit, kernel.source, kernel.source, ours).good) return std::nullopt;
  unit.command = kernel::command_as_shipped(kernel, unit.command);
  REQUIRE(kernel::replay(unit, kernel.source, kernel.source, shipped, {}, kernel::ReplayOutput::object,
                         kernel::compiler_as_shipped(kernel.compiler))
              .good);
  return std::pair{elf::ElfObject::read(ours), elf::ElfObject::read(shipped)};
}

/// Evenly over the names; assembly and what is made for the build alone aside.
std::vector<const kernel::Unit*> drawn(const kernel::KernelIndex& index, size_t count) {
  std::vector<const kernel::Unit*> all, result;
  for (const auto& [name, unit] : index.units()) {
    if (unit.source.ends_with(".c") && name.ends_with(".o") && !unit.objects.empty()) all.push_back(&unit);
  }
  for (size_t i = 0; i < count; ++i) result.push_back(all.at(i * all.size() / count));
  return result;
}

std::string refusals(const diff::UnitResult& result) {
  std::string text;
  for (const Finding& finding : result.findings.list()) {
    if (finding.severity == Severity::refusal)
      text += finding.code + " " + finding.symbol + ": " + finding.message + "\n";
  }
  return text;
}

/// Calls in inline assembly stay as they were written; a module that would need the NOP is refused. These are all that
/// arch/powerpc has (6.1: kernel/irq.c, call_do_softirq and call_do_irq).
bool is_inline_assembly(std::string_view section, std::string_view callee) {
  return (section == ".text.do_softirq_own_stack" && callee == "__do_softirq") ||
         (section == ".text.__do_IRQ" && callee == "__do_irq");
}

/// Calls by name that are not followed by a NOP; ftrace's own needs none.
std::vector<std::string> bare_calls(const elf::ElfObject& object, size_t& calls) {
  std::vector<std::string> result;
  for (const elf::Section& section : object.sections()) {
    if (!section.is_exec() || !section.has_data()) continue;
    for (const elf::Relocation& r : section.relocations) {
      const auto word = [&](uint64_t at) {
        return at + 4 <= section.data.size() ? read_le<uint32_t>(section.data, at) : 0;
      };
      const bool is_call = r.offset % 4 == 0 && word(r.offset) >> 26 == 18 && (word(r.offset) & 1) != 0;
      if (!is_call || r.symbol->name == "_mcount") continue;
      ++calls;
      if (word(r.offset + 4) != kNop && !is_inline_assembly(section.name, r.symbol->name))
        result.push_back(fmt::format("{}+{:#x}: {}", section.name, r.offset, r.symbol->name));
    }
  }
  return result;
}

/// Whether a function goes on at a place from a table of distances in it (a switch): these are numbers in the object,
/// which NOPs in between make larger.
bool has_switch(const elf::ElfObject& object, std::string_view function) {
  constexpr uint32_t kBctr = 0x4e800420;
  for (const elf::Symbol& symbol : object.symbols()) {
    if (symbol.name != function || !symbol.is_function() || !symbol.is_defined()) continue;
    for (uint64_t at = symbol.value; at + 4 <= symbol.value + symbol.size; at += 4) {
      if (read_le<uint32_t>(symbol.section->data, at) == kBctr) return true;
    }
  }
  return false;
}

/// Sizes of all allocated sections without code.
std::map<std::string, uint64_t> data_sizes(const elf::ElfObject& object) {
  std::map<std::string, uint64_t> result;
  for (const elf::Section& section : object.sections()) {
    if (section.is_alloc() && !section.is_exec()) result[std::string(section.name)] += section.size;
  }
  return result;
}

diff::UnitResult compared(const elf::ElfObject& a, const elf::ElfObject& b,
                          const std::map<std::string, uint64_t>& structs) {
  diff::UnitInput input;
  input.original = &a;
  input.patched = &b;
  input.unit = "unit.o";
  input.table_sizes.structs = structs;
  const elf::SymbolIndex shipped(a);
  input.shipped = &shipped;
  input.vmlinux = &shipped;
  input.check_identity = false;
  input.partial_symbols = true;
  const elf::Exports none;
  input.exports = &none;
  return diff::analyse(input);
}

/// An object of small C text by some compiler.
elf::ElfObject compiled(const TempDir& directory, const std::string& command, int value) {
  const fs::path source = directory.path() / fmt::format("{}.c", value), object = source.string() + ".o";
  write_file_atomically(source, fmt::format("int outside(int); int kept(int);\n"
                                            "__attribute__((noinline)) int kept(int x) {{ return outside(x) + 3; }}\n"
                                            "int f(int x) {{ return kept(x) + kept(x + 1) + {}; }}\n",
                                            value));
  run_checked({"sh", "-c", command + " -O2 -ffunction-sections -fdata-sections -c -o \"$0\" \"$1\"", object.string(),
               source.string()});
  return elf::ElfObject::read(object);
}

}  // namespace

TEST_CASE("units of a ppc64le kernel equal themselves, with all their NOPs") {
  const kernel::Kernel kernel = test_kernel();
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const TempDir directory(fs::temp_directory_path(), "ppc64-units");
  size_t calls = 0, inserted = 0, units = 0, switches = 0;
  for (const kernel::Unit* unit : drawn(index, std::getenv("KLP_TEST_ALL") != nullptr ? 200 : 40)) {
    CAPTURE(unit->unit);
    const fs::path with = directory.path() / "with.o", without = directory.path() / "without.o";
    const kernel::ReplayResult first = kernel::replay(*unit, kernel.source, kernel.source, with);
    if (!first.good && first.output.find("No such file") != std::string::npos) continue;  // make would generate it
    REQUIRE(first.good);
    REQUIRE(kernel::replay(*unit, kernel.source, kernel.source, without, {}, kernel::ReplayOutput::object,
                           kernel::compiler_as_shipped(kernel.compiler))
                .good);
    const elf::ElfObject a = elf::ElfObject::read(with), b = elf::ElfObject::read(without);
    const diff::UnitResult same = compared(a, a, index.struct_sizes());
    CHECK_FALSE(same.changed);
    CHECK(refusals(same).empty());
    CHECK(bare_calls(a, calls) == std::vector<std::string>());
    size_t ignored = 0;
    inserted += bare_calls(b, ignored).size();
    const diff::UnitResult completed = compared(b, a, index.struct_sizes());
    for (const diff::FunctionReport& function : completed.functions) {
      CAPTURE(function.name);
      if (function.change == "changed") CHECK(has_switch(a, function.name));
      switches += function.change == "changed" ? 1 : 0;
    }
    if (!completed.changed) CHECK(refusals(completed).empty());
    for (const diff::DataReport& data : completed.data) CHECK(data.change != "changed");
    CHECK(data_sizes(a) == data_sizes(b));
    ++units;
  }
  CHECK(units >= 38);
  CHECK(calls > 1000);
  CHECK(inserted > 100);
  WARN(fmt::format("{} units, {} calls, {} NOPs put behind them, {} functions with a switch over them", units, calls,
                   inserted, switches));
}

// The distribution's own kernel is no livepatches', but what it was built from and by is known: 920 MB to download.
TEST_CASE("units of Debian's kernel for POWER are what it ships") {
  if (std::getenv("KLP_TEST_ALL") == nullptr) return;
  const kernel::Kernel kernel = debian_kernel();
  const kernel::KernelIndex index = kernel::KernelIndex::open(kernel);
  const TempDir directory(fs::temp_directory_path(), "ppc64-debian");
  const elf::ElfObject vmlinux = elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only);
  const elf::SymbolIndex vmlinux_index(vmlinux);
  diff::IdentityReport sum;
  size_t units = 0;
  for (const kernel::Unit* unit : drawn(index, 24)) {
    CAPTURE(unit->unit);
    const auto objects = compiled_both_ways(kernel, *unit, directory.path());
    if (!objects) continue;  // make would generate what it needs, or several modules have it
    const std::string& owner = unit->objects.front();
    std::optional<elf::ElfObject> module;
    if (owner != "vmlinux") module = elf::ElfObject::read(kernel::find_module(kernel, owner).value());
    const elf::SymbolIndex shipped(module ? *module : vmlinux);
    diff::UnitInput input;
    input.original = input.patched = &objects->first;
    input.as_shipped = &objects->second;
    input.unit = unit->unit;
    input.object = owner;
    input.shipped = &shipped;
    input.vmlinux = &vmlinux_index;
    const elf::Exports exports = elf::read_symvers(kernel.symvers);
    input.exports = &exports;
    input.table_sizes.structs = index.struct_sizes();
    const diff::UnitResult result = diff::analyse(input);
    INFO(refusals(result));
    CHECK_FALSE(result.changed);
    CHECK(result.identity.different + result.identity.absent == 0);
    sum.matched += result.identity.matched;
    sum.overridden += result.identity.overridden;
    ++units;
  }
  CHECK(units >= 20);
  CHECK(sum.matched > 100);
  WARN(fmt::format("{} units of {}: {} functions equal the shipped ones, {} weak ones are overridden", units,
                   kernel.name, sum.matched, sum.overridden));
}

TEST_CASE("clang's units get no NOPs: a call that leaves the module is refused with its place") {
  const TempDir directory(fs::temp_directory_path(), "ppc64-clang");
  const std::string command =
      "clang-14 --target=powerpc64le-linux-gnu -mcpu=pwr8 -mcmodel=large -fno-optimize-sibling-calls";
  const elf::ElfObject a = compiled(directory, command, 1), b = compiled(directory, command, 2);
  const diff::UnitResult same = compared(a, a, {});
  CHECK_FALSE(same.changed);
  const std::string said = refusals(compared(a, b, {}));
  INFO(said);
  CHECK_FALSE(said.empty());
}

TEST_CASE("PC-relative code of POWER10 is an error that says what to compile with") {
  const TempDir directory(fs::temp_directory_path(), "ppc64-power10");
  const std::string command = "powerpc64le-linux-gnu-gcc-12 -mcpu=power10 -mpcrel";
  const elf::ElfObject a = compiled(directory, command, 1), b = compiled(directory, command, 2);
  try {
    compared(a, b, {});
    FAIL("taken for something else");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("R_PPC64_REL24_NOTOC"));
    CHECK_THAT(error.hint(), Catch::Contains("-mno-pcrel"));
  }
}
