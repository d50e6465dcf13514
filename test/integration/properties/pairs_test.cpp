// Compiled pairs: small C files, each of which says what must change. KLP_TEST_PAIR runs one of them only.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <optional>

#include "compiled_pair.h"
#include "elf/debug_info.h"
#include "plan_faults.h"

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
