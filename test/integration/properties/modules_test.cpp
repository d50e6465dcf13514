// The modules that the distribution ships, each against itself: whatever is in them, nothing has changed. It takes 20
// s.
#include <catch2/catch.hpp>

#include "shipped_modules.h"
#include "unit_pair.h"

namespace klp::test {
namespace {

void check_unchanged(const fs::path& module) {
  INFO(module.string());
  try {
    const elf::ElfObject object = elf::ElfObject::read(module);
    const diff::UnitResult result = analyse_pair(object, object, false);
    INFO(describe(result));
    CHECK_FALSE(result.changed);
    CHECK(result.functions.empty());
    CHECK(result.data.empty());
    CHECK(refusals_of(result).empty());
  } catch (const Error& error) {
    FAIL_CHECK(error.what());
  }
}

}  // namespace

TEST_CASE("shipped modules equal themselves", "[modules]") {
  const std::vector<fs::path> modules = shipped_modules();
  REQUIRE(modules.size() > 100);
  for (const fs::path& module : modules) check_unchanged(module);
  WARN(modules.size() << " modules");
}

}  // namespace klp::test
