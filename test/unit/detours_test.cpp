// Alternatives whose code refers to the patched module move behind their functions.
#include "diff/detours.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "engine_unit.h"

namespace klp::diff {
namespace {

using test::EngineUnit;
using test::ObjectFixture;

constexpr int kSite = 7, kBehind = 13;  // where the alternative is in f, and where f ends

/// f of module ext4 has an alternative at +7: `site` or `replacement`, of five bytes each; what they call is of ext4.
struct AlternativeUnit : EngineUnit {
  AlternativeUnit(std::initializer_list<int> site, std::initializer_list<int> replacement) : EngineUnit("other.c") {
    object = "ext4";
    sizes.structs = {{"alt_instr", 12}, {"exception_table_entry", 12}};
    for (ObjectFixture* f : {&original, &patched}) {
      f->function("new").global();
      f->function("old").global();
      std::vector<std::byte> body = test::to_bytes({0xe8, 0, 0, 0, 0, f == &original ? 0x31 : 0x33, 0xc0});
      for (const int b : site) body.push_back(static_cast<std::byte>(b));
      body.push_back(std::byte{0xc3});
      auto& function = f->function("f", body).calls("__fentry__", 1);
      if (*site.begin() == 0xe8) function.calls("old", kSite + 1);
      auto& code = f->table(".altinstr_replacement", test::to_bytes(replacement), elf::kShfAlloc | elf::kShfExec, 1);
      if (*replacement.begin() == 0xe8) code.calls("new", 1);
      f->table(".altinstructions", test::to_bytes({0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 5, 5}))
          .refers(0, test::kRPc32, "f", kSite)
          .refers_to_section(4, test::kRPc32, ".altinstr_replacement", 0);
    }
  }
};

const PlanSection& section(const UnitResult& result, const std::string& name) {
  const auto found = std::find_if(result.plan.sections.begin(), result.plan.sections.end(),
                                  [&](const PlanSection& s) { return s.name == name; });
  REQUIRE(found != result.plan.sections.end());
  return *found;
}

const PlanRelocation* relocation(const PlanSection& section, uint64_t offset) {
  const auto found = std::find_if(section.relocations.begin(), section.relocations.end(),
                                  [&](const PlanRelocation& r) { return r.offset == offset; });
  return found == section.relocations.end() ? nullptr : &*found;
}

std::vector<int> bytes(const PlanSection& section, uint64_t start, uint64_t size) {
  std::vector<int> result;
  for (uint64_t i = start; i < start + size; ++i) result.push_back(std::to_integer<int>(section.data.at(i)));
  return result;
}

/// The bytes of a jump over `distance`.
std::vector<int> jump(int distance) {
  return {0xe9, distance & 0xff, (distance >> 8) & 0xff, (distance >> 16) & 0xff, (distance >> 24) & 0xff};
}

void check_klp(const PlanSection& text, uint64_t offset, const std::string& symbol) {
  const PlanRelocation* r = relocation(text, offset);
  REQUIRE(r != nullptr);
  CHECK(r->klp.symbol == symbol);
  CHECK(r->klp.patched_object == "ext4");
  CHECK(r->addend == -4);
}

const std::vector<int> kCall = {0xe8, 0, 0, 0, 0};

}  // namespace

TEST_CASE("calls of the module in both cases of an alternative") {
  const UnitResult result = AlternativeUnit({0xe8, 0, 0, 0, 0}, {0xe8, 0, 0, 0, 0}).run();
  REQUIRE_FALSE(result.findings.has_refusal());
  const PlanSection &text = section(result, ".text.f"), &code = section(result, ".altinstr_replacement");
  REQUIRE(text.data.size() == kBehind + 20);
  CHECK(bytes(text, kSite, 5) == jump(kBehind - 12));
  CHECK(bytes(text, kBehind, 5) == kCall);
  CHECK(bytes(text, kBehind + 5, 5) == jump(12 - (kBehind + 10)));
  CHECK(bytes(text, kBehind + 10, 5) == kCall);
  CHECK(bytes(text, kBehind + 15, 5) == jump(12 - (kBehind + 20)));
  CHECK(relocation(text, kSite + 1) == nullptr);
  check_klp(text, kBehind + 1, "old");
  check_klp(text, kBehind + 11, "new");
  CHECK(bytes(code, 0, 5) == jump(0));
  const PlanRelocation* r = relocation(code, 1);
  REQUIRE(r != nullptr);
  CHECK(result.plan.sections[result.plan.symbols[r->symbol].section].name == ".text.f");
  CHECK(r->addend == kBehind + 10 - 4);
  const auto function = std::find_if(result.plan.symbols.begin(), result.plan.symbols.end(),
                                     [](const PlanSymbol& s) { return s.name == "f"; });
  REQUIRE(function != result.plan.symbols.end());
  CHECK(function->size == kBehind + 20);
  REQUIRE(result.plan.late_entries.size() == 2);
  const PlanLateEntry &site = result.plan.late_entries[0], &copied = result.plan.late_entries[1];
  CHECK((site.function == "f" && site.offset == copied.offset && site.key == "old" && copied.key == "new"));
  CHECK(site.table == ".altinstructions");
  CHECK(site.treatment != copied.treatment);
}

TEST_CASE("only the code that refers to the module moves") {
  SECTION("the site's own") {
    const UnitResult result = AlternativeUnit({0xe8, 0, 0, 0, 0}, {0xb8, 1, 0, 0, 0}).run();
    REQUIRE_FALSE(result.findings.has_refusal());
    CHECK(section(result, ".text.f").data.size() == kBehind + 10);
    CHECK(bytes(section(result, ".altinstr_replacement"), 0, 2) == std::vector<int>{0xb8, 1});
    check_klp(section(result, ".text.f"), kBehind + 1, "old");
  }
  SECTION("the replacement; a longer one is shortened to the jump") {
    AlternativeUnit unit({0xb8, 1, 0, 0, 0}, {0xe8, 0, 0, 0, 0, 0x90});
    for (ObjectFixture* f : {&unit.original, &unit.patched}) f->section(".altinstructions").data[11] = std::byte{6};
    const UnitResult result = unit.run();
    REQUIRE_FALSE(result.findings.has_refusal());
    CHECK(bytes(section(result, ".text.f"), kSite, 2) == std::vector<int>{0xb8, 1});
    check_klp(section(result, ".text.f"), kBehind + 1, "new");
    CHECK(section(result, ".altinstructions").data[11] == std::byte{5});
  }
  SECTION("none in a patch of vmlinux") {
    AlternativeUnit unit({0xe8, 0, 0, 0, 0}, {0xe8, 0, 0, 0, 0});
    unit.object = "vmlinux";
    CHECK(section(unit.run(), ".text.f").data.size() == kBehind);
  }
}

TEST_CASE("code that is bound to its place is refused") {
  const bool has_jump = GENERATE(false, true);
  CAPTURE(has_jump);
  AlternativeUnit unit({0xe8, 0, 0, 0, 0}, {0xe8, 0, 0, 0, 0, 0x74, 0x10});
  for (ObjectFixture* f : {&unit.original, &unit.patched}) {
    if (has_jump)  // the replacement's second instruction, to the code around the site
      f->section(".altinstructions").data[11] = std::byte{7};
    else
      f->table("__ex_table", std::vector<std::byte>(12))
          .refers(0, test::kRPc32, "f", kSite)
          .refers(4, test::kRPc32, "f", 12);
  }
  const UnitResult result = unit.run();
  const auto list = result.findings.list();
  CHECK(std::any_of(list.begin(), list.end(), [](const Finding& f) {
    return f.severity == Severity::refusal && f.code == "unsupported-relocation" && f.symbol == "f";
  }));
}

}  // namespace klp::diff
