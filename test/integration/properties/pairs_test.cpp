// Compiled pairs: small C files, each of which says what must change. KLP_TEST_PAIR runs one of them only.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "compiled_pair.h"
#include "elf/debug_info.h"
#include "plan_faults.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::test {
namespace {

diff::UnitResult analyse(const PairSource& source, const CompiledPair& pair, const elf::ElfObject* shipped) {
  return analyse_pair(pair.original, pair.patched, {shipped, source.object, source.exported_by});
}

void check_pairs(const fs::path& directory) {
  const char* only = std::getenv("KLP_TEST_PAIR");
  const TempDir work(fs::temp_directory_path(), "klp-pairs");
  size_t count = 0;
  for (const PairSource& source : all_pair_sources(directory)) {
    if (only != nullptr && source.file.stem() != only) continue;
    for (const std::string& compiler : source.compilers) {
      if (!has_compiler(compiler)) {
        WARN("not run: " << source.file.filename() << " with " << compiler << ", which is not installed");
        continue;
      }
      INFO(source.file.filename() << " by " << compiler);
      ++count;
      try {
        const CompiledPair pair = compile_pair(source, compiler, work.path(), true);
        std::optional<elf::ElfObject> shipped;
        if (!source.shipped_flags.empty()) shipped = compile_shipped(source, compiler, work.path());
        const diff::UnitResult result = analyse(source, pair, shipped ? &*shipped : nullptr);
        INFO(describe(result));
        CHECK(mismatches(source.expected.at(compiler), result) == "");
        if (!result.findings.has_refusal()) CHECK(plan_faults(pair.patched, result.plan) == "");
      } catch (const Error& error) {
        FAIL_CHECK(error.what());
      }
    }
  }
  CHECK((count > 0 || only != nullptr));
}

}  // namespace

TEST_CASE("compiled pairs change what they say", "[pairs]") {
  check_pairs(KLP_TEST_PAIRS);
}

TEST_CASE("compiled pairs are refused for what the kernel around them is like", "[pairs]") {
  check_pairs(fs::path(KLP_TEST_PAIRS).parent_path() / "kernel_pairs");
}

namespace {

/// Calls that the module loader could not lead out of the module: without a NOP behind them.
std::vector<std::string> calls_without_nop(const elf::ElfObject& object) {
  constexpr uint32_t kRel24 = 10, kNop = 0x60000000;
  std::vector<std::string> result;
  for (const elf::Section& section : object.sections()) {
    for (const elf::Relocation& r : section.relocations) {
      if (!section.is_exec() || r.type != kRel24 || r.symbol->name == "_mcount") continue;
      const bool links = (read_le<uint32_t>(section.data, r.offset) & 1) != 0;
      if (links && (r.offset + 8 > section.data.size() || read_le<uint32_t>(section.data, r.offset + 4) != kNop))
        result.push_back(fmt::format("{}+{:#x}", section.name, r.offset));
    }
  }
  return result;
}

}  // namespace

// Without NOPs an object is what the compiler made: code, labels and tables. The engine's normal form leaves NOPs out
// and counts places in instructions.
TEST_CASE("ppc64: the NOPs behind calls are all there and change nothing else", "[pairs]") {
  if (!has_compiler("ppc64")) {
    WARN("not run: powerpc64le-linux-gnu-gcc-12 is not installed");
    return;
  }
  const TempDir work(fs::temp_directory_path(), "klp-pairs");
  size_t without = 0;
  for (const PairSource& source : all_pair_sources(KLP_TEST_PAIRS)) {
    if (source.expected.count("ppc64") == 0 ||
        std::find(source.compilers.begin(), source.compilers.end(), "ppc64") == source.compilers.end())
      continue;
    INFO(source.file.filename());
    const elf::ElfObject plain = compile_without_nops(source, work.path());
    const CompiledPair pair = compile_pair(source, "ppc64", work.path(), true);
    without += calls_without_nop(plain).size();
    CHECK(calls_without_nop(pair.original) == std::vector<std::string>());
    const diff::UnitResult result = analyse_pair(plain, pair.original);
    INFO(describe(result));
    CHECK_FALSE(result.changed);
    CHECK(result.functions.empty());
  }
  CHECK(without > 20);
}

TEST_CASE("static locals are found in both compilers' debug information", "[pairs]") {
  const TempDir work(fs::temp_directory_path(), "klp-pairs");
  const PairSource source = read_pair_source(fs::path(KLP_TEST_PAIRS) / "static_local_retyped.c");
  for (const std::string& compiler : source.compilers) {
    if (!has_compiler(compiler)) continue;
    INFO(compiler);
    const CompiledPair pair = compile_pair(source, compiler, work.path(), true);
    const elf::DebugInfo debug = elf::read_debug_info(pair.original);
    REQUIRE(debug.static_locals.size() == 1);
    CHECK(debug.static_locals[0].function == "f");
    CHECK(debug.static_locals[0].name == "n");
    CHECK(debug.static_locals[0].section->name.starts_with(".bss."));
  }
}

}  // namespace klp::test
