// What does not change the meaning of an object must change nothing of the result: on the compiled pairs, x against x
// transformed, and (a, b transformed) against (a, b); and on modules of the real kernel, x against x transformed.
//
// KLP_TEST_SEED repeats a run.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "compiled_pair.h"
#include "plan_faults.h"
#include "shipped_modules.h"
#include "transform.h"

namespace klp::test {
namespace {

uint64_t seed() {
  const char* given = std::getenv("KLP_TEST_SEED");
  static const uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  return value;
}

void check_same_as_itself(const elf::ElfObject& object, const std::string& name, bool shipped = true) {
  const diff::UnitResult result = analyse_pair(object, transformed(object, name, seed()), shipped);
  INFO(object.name() << " against itself, " << name << ":\n" << describe(result));
  CHECK_FALSE(result.changed);
  CHECK(result.functions.empty());
  CHECK(result.data.empty());
  CHECK(result.identity.different == 0);
}

void check_transformed_pair(const CompiledPair& pair, bool stable_numbers) {
  const diff::UnitResult plain = analyse_pair(pair.original, pair.patched);
  for (const std::string& name : kTransformations) {
    if (stable_numbers && (name == "numbers" || name == "all")) continue;
    if (name == "all") check_same_as_itself(pair.original, name);
    check_same_as_itself(pair.patched, name);
    const diff::UnitResult right = analyse_pair(pair.original, transformed(pair.patched, name, seed()));
    INFO("right side, " << name << "\n" << describe(right) << "\nplain:\n" << describe(plain));
    CHECK(essence(right) == essence(plain));
    const diff::UnitResult left = analyse_pair(transformed(pair.original, name, seed()), pair.patched);
    INFO("left side, " << name << "\n" << describe(left));
    CHECK(essence(left) == essence(plain));
  }
  const diff::UnitResult again = analyse_pair(pair.original, pair.patched);
  CHECK(diff::dump(again.plan) == diff::dump(plain.plan));
}

/// Runs `check` for every pair and compiler.
template <typename Check>
void for_each_pair(Check check) {
  const char* only = std::getenv("KLP_TEST_PAIR");
  const TempDir work(fs::temp_directory_path(), "klp-transformed");
  for (const PairSource& source : all_pair_sources()) {
    if (only != nullptr && source.file.stem() != only) continue;
    for (const std::string& compiler : source.compilers) {
      if (!has_compiler(compiler)) continue;  // [pairs] says so
      INFO(source.file.filename() << " by " << compiler);
      try {
        check(source, compiler, work.path());
      } catch (const Error& error) {
        FAIL_CHECK(error.what());
      }
    }
  }
}

bool is_about_types(const Finding& f) {
  return f.code == "changed-layout" || f.code == "changed-prototype" || f.code == "changed-abi";
}

/// What is left when nothing is known of types.
diff::UnitResult without_types(diff::UnitResult result) {
  Findings others;
  for (const Finding& f : result.findings.list()) {
    if (!is_about_types(f)) others.add(f);
  }
  result.findings = others;
  return result;
}

}  // namespace

TEST_CASE("order, numbers and section symbols mean nothing", "[transformed]") {
  INFO("KLP_TEST_SEED=" << seed());
  for_each_pair([](const PairSource& source, const std::string& compiler, const fs::path& work) {
    check_transformed_pair(compile_pair(source, compiler, work, true), source.stable_numbers);
  });
}

TEST_CASE("debug information decides only what nothing else can", "[transformed]") {
  for_each_pair([](const PairSource& source, const std::string& compiler, const fs::path& work) {
    const CompiledPair with = compile_pair(source, compiler, work, true);
    const diff::UnitResult informed = analyse_pair(with.original, with.patched);
    const CompiledPair without = compile_pair(source, compiler, work, false);
    const diff::UnitResult blind = analyse_pair(without.original, without.patched);
    const diff::UnitResult stripped =
        analyse_pair(transformed(with.original, "no debug", 1), transformed(with.patched, "no debug", 1));
    INFO("with:\n" << describe(informed) << "\nwithout:\n" << describe(blind));
    CHECK(essence(stripped) == essence(blind));
    // Which static local is which, and what is a line number, may be undecided without it: then variables are refused
    // and functions carried, never guessed.
    // What only DWARF can tell: that a type changed. The user hears that nobody looked.
    const bool types = informed.findings.has_refusal() && !without_types(informed).findings.has_refusal();
    if (types) CHECK(std::ranges::any_of(blind.findings.list(), is_about_types));
    if (refusals_of(informed) != refusals_of(blind) && source.file.stem() == "static_local_retyped_equal_size") return;
    const std::set<std::string> refused = refusals_of(blind);
    const bool undecided = std::any_of(refused.begin(), refused.end(), [](const std::string& refusal) {
      return refusal.starts_with("ambiguous-symbol ") || refusal.starts_with("static-local-reset ");
    });
    if (undecided) return;
    if (!source.file.stem().string().starts_with("line_")) CHECK(essence(blind) == essence(without_types(informed)));
    CHECK(std::ranges::includes(functions_of(blind, "changed"), functions_of(informed, "changed")));
  });
}

// For pairs that somebody else compiled (edited_units.py): KLP_GIVEN_ORIGINAL and KLP_GIVEN_PATCHED.
TEST_CASE("order, numbers and section symbols of a given pair mean nothing", "[.given]") {
  const char* original = std::getenv("KLP_GIVEN_ORIGINAL");
  const char* patched = std::getenv("KLP_GIVEN_PATCHED");
  REQUIRE(original != nullptr);
  REQUIRE(patched != nullptr);
  INFO("KLP_TEST_SEED=" << seed());
  const CompiledPair pair{elf::ElfObject::read(original), elf::ElfObject::read(patched)};
  check_transformed_pair(pair, false);
  const diff::UnitResult result = analyse_pair(pair.original, pair.patched);
  if (!result.findings.has_refusal()) CHECK(plan_faults(pair.patched, result.plan) == "");
}

TEST_CASE("order, numbers and section symbols of shipped modules mean nothing", "[transformed]") {
  INFO("KLP_TEST_SEED=" << seed());
  const std::vector<fs::path> modules = shipped_modules();
  const size_t step = std::getenv("KLP_TEST_ALL") != nullptr ? 5 : 60;
  for (size_t i = 0; i < modules.size(); i += step) {
    try {
      const elf::ElfObject object = elf::ElfObject::read(modules[i]);
      for (const std::string& name : kTransformations) check_same_as_itself(object, name, false);
    } catch (const Error& error) {
      FAIL_CHECK(error.what());
    }
  }
}

}  // namespace klp::test
