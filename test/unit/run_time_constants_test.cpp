// Run-time constants in changed functions: which variable the module's init reads, and what is refused.
#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/livepatch_module.h"
#include "engine_unit.h"

using namespace klp;
using namespace klp::diff;

namespace {

/// f loads a constant behind its ftrace site: mov $0x0123456789abcdef,%rax at 5, whose field is at 7.
class Unit : public test::EngineUnit {
 public:
  Unit() : EngineUnit("unit.c") {
    code(original, 0x90);
    code(patched, 0x31);
    vmlinux.data("limit", 8).bss().global();
  }

  static void code(test::ObjectFixture& fixture, int first) {
    traced(fixture, "f", {0x48, 0xb8, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, first, 0xc0, 0xc3});
  }

  void constant(const std::string& section, uint64_t at = 7) {
    for (auto* fixture : {&original, &patched}) constant(*fixture, section, at);
  }
  static void constant(test::ObjectFixture& fixture, const std::string& section, uint64_t at = 7) {
    fixture.table(section, std::vector<std::byte>(4), elf::kShfAlloc, 1)
        .refers(0, test::kRPc32, "f", static_cast<int64_t>(at));
  }
};

const Finding* finding(const UnitResult& result, std::string_view code) {
  const auto& list = result.findings.list();
  const auto found = std::find_if(list.begin(), list.end(), [&](const Finding& f) { return f.code == code; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("a run-time constant is read from the variable that its section names", "[constants]") {
  Unit u;
  u.constant("runtime_ptr_limit");
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  REQUIRE(result.plan.constants.size() == 1);
  const PlanConstant& constant = result.plan.constants.front();
  CHECK(result.plan.symbols[constant.symbol].name == "f");
  CHECK(constant.offset == 7);
  CHECK(constant.size == 8);
  CHECK(constant.variable.target == PlanRelocation::Target::klp);
  CHECK(constant.variable.klp.symbol == "limit");
  CHECK(constant.variable_size == 8);
  CHECK(dump(result.plan).find("constant f+0x7 size 8 from klp vmlinux:vmlinux.limit,0 size 8\n") != std::string::npos);
  for (const PlanSection& section : result.plan.sections) CHECK(section.name.find("runtime_") == std::string::npos);
}

TEST_CASE("an exported variable needs no livepatch symbol", "[constants]") {
  Unit u;
  u.constant("runtime_ptr_limit");
  u.exports["limit"] = {1, "vmlinux", false, ""};
  const UnitResult result = u.run();
  REQUIRE(result.plan.constants.size() == 1);
  CHECK(result.plan.constants.front().variable.target == PlanRelocation::Target::plain);
  CHECK(result.plan.constants.front().variable.name == "limit");
}

TEST_CASE("a shift count is one byte, read from a larger variable of the unit", "[constants]") {
  Unit u;
  for (auto* fixture : {&u.original, &u.patched, &u.vmlinux}) fixture->data("bits", 4);
  u.constant("runtime_shift_bits");
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  REQUIRE(result.plan.constants.size() == 1);
  CHECK(result.plan.constants.front().size == 1);
  CHECK(result.plan.constants.front().variable_size == 4);
  CHECK(result.plan.constants.front().variable.klp.symbol == "bits");
}

TEST_CASE("another constant in the same code is a change", "[constants]") {
  Unit u;
  u.original = test::ObjectFixture();
  u.original.file("unit.c");
  Unit::code(u.original, 0x31);  // the code itself is the same
  Unit::constant(u.original, "runtime_ptr_base");
  Unit::constant(u.patched, "runtime_ptr_limit");
  u.vmlinux.data("base", 8).bss().global();
  const UnitResult result = u.run();
  CHECK(result.changed);
  REQUIRE(result.plan.constants.size() == 1);
  CHECK(result.plan.constants.front().variable.klp.symbol == "limit");
}

TEST_CASE("constants that cannot be filled in are refused", "[constants]") {
  Unit u;
  std::string code = "unsupported-section";
  SECTION("a kind that nobody here knows") {
    u.constant("runtime_mask_limit");
  }
  SECTION("a variable that the running kernel does not have") {
    u.constant("runtime_ptr_other");
    code = "missing-symbol";
  }
  SECTION("a new variable, which nobody gives a value") {
    u.patched.data("fresh", 8);
    u.constant("runtime_ptr_fresh");
  }
  SECTION("a pointer from a variable that is too small") {
    u.vmlinux.data("half", 4).bss().global();
    u.constant("runtime_ptr_half");
  }
  SECTION("a place outside the function") {
    u.constant("runtime_ptr_limit", 13);
  }
  const UnitResult result = u.run();
  REQUIRE(finding(result, code) != nullptr);
  CHECK(finding(result, code)->severity == Severity::refusal);
}
