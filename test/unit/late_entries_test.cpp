// Entries of kernel tables for a module's own keys, which the livepatch core resolves after the kernel has read them.
#include "diff/late_entries.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "engine_unit.h"

namespace klp::diff {
namespace {

using test::EngineUnit;
using test::ObjectFixture;

constexpr int kNop = 0x66, kJump = 0xeb;

/// A function of module ext4 with a jump label at +8 for a key, and a static call at +10.
struct ModuleUnit : EngineUnit {
  explicit ModuleUnit(const char* key, int site = kNop) : EngineUnit("other.c") {
    object = "ext4";
    sizes.structs = {{"jump_entry", 16}, {"static_call_site", 8}};
    for (ObjectFixture* f : {&original, &patched}) {
      const int body = f == &original ? 0x31 : 0x33;
      traced(*f, "f", {body, 0xc0, 0x90, site, 0x90, 0xe8, 0, 0, 0, 0, 0xc3}).calls("__SCT__call", 11);
      f->function("__SCT__call", {0xe9, 0, 0, 0, 0}).global();
      f->data("__SCK__call", 8).global();
      f->data(key, 16).global();
      f->table("__jump_table", std::vector<std::byte>(16))
          .refers(0, test::kRPc32, "f", 8)
          .refers(4, test::kRPc32, "f", 10)
          .refers(8, test::kRPc64, key, 8);
      f->table(".static_call_sites", std::vector<std::byte>(8))
          .refers(0, test::kRPc32, "f", 10)
          .refers(4, test::kRPc32, "__SCK__call", 0);
    }
  }
};

bool has_section(const UnitResult& result, const std::string& name) {
  return std::any_of(result.plan.sections.begin(), result.plan.sections.end(),
                     [&](const PlanSection& s) { return s.name == name; });
}

/// Whether the copy of f still calls the module's trampoline.
bool calls_trampoline(const UnitResult& result) {
  const auto text = std::find_if(result.plan.sections.begin(), result.plan.sections.end(),
                                 [](const PlanSection& s) { return s.name == ".text.f"; });
  return text != result.plan.sections.end() &&
         std::any_of(text->relocations.begin(), text->relocations.end(), [](const PlanRelocation& r) {
           return r.offset == 11 && r.klp.symbol == "__SCT__call" && r.klp.patched_object == "ext4";
         });
}

/// Without the warning that these objects have no debug information.
std::vector<Finding> findings(const UnitResult& result) {
  std::vector<Finding> list = result.findings.list();
  list.erase(std::remove_if(list.begin(), list.end(), [](const Finding& f) { return f.code == "changed-layout"; }),
             list.end());
  return list;
}

Finding only_finding(const UnitResult& result) {
  const std::vector<Finding> list = findings(result);
  REQUIRE(list.size() == 1);
  return list.front();
}

}  // namespace

TEST_CASE("a module's tracepoint stays off in the new code, with a warning; a static call takes the trampoline") {
  const UnitResult result = ModuleUnit("__tracepoint_write").run();
  const Finding finding = only_finding(result);
  CHECK(finding.severity == Severity::warning);
  CHECK(finding.code == "module-static-key");
  CHECK(finding.symbol.empty());
  CHECK(finding.place.empty());
  CHECK_THAT(finding.message, Catch::Contains("never fire from the replaced functions, even when enabled: write (the"));
  CHECK(result.plan.functions.size() == 1);
  CHECK_FALSE(has_section(result, "__jump_table"));
  CHECK_FALSE(has_section(result, ".static_call_sites"));
  CHECK(calls_trampoline(result));
  CHECK(result.special_entries.count("__jump_table") == 0);
  CHECK(result.plan.dead_branches == std::set<std::string>{"f"});
  REQUIRE(result.plan.late_entries.size() == 2);
  for (const PlanLateEntry& late : result.plan.late_entries) {
    CHECK(late.function == "f");
    CHECK_THAT(late.treatment, Catch::StartsWith("left out: "));
    CHECK((late.table == "__jump_table") == (late.key == "__tracepoint_write"));
  }
}

TEST_CASE("a unit's tracepoints are named in one warning, each once") {
  ModuleUnit unit("__tracepoint_write");
  for (ObjectFixture* f : {&unit.original, &unit.patched}) {
    const int body = f == &unit.original ? 0x31 : 0x33;
    unit.traced(*f, "g", {body, 0xc0, 0x90, kNop, 0x90, kNop, 0x90, 0xc3});
    f->data("__tracepoint_read", 16).global();
    f->table("__jump_table", std::vector<std::byte>(32))
        .refers(0, test::kRPc32, "g", 8)
        .refers(4, test::kRPc32, "g", 10)
        .refers(8, test::kRPc64, "__tracepoint_read", 8)
        .refers(16, test::kRPc32, "g", 10)
        .refers(20, test::kRPc32, "g", 12)
        .refers(24, test::kRPc64, "__tracepoint_write", 8);
  }
  const Finding finding = only_finding(unit.run());
  CHECK(finding.severity == Severity::warning);
  CHECK_THAT(finding.message, Catch::Contains("even when enabled: read, write (the"));
}

TEST_CASE("a module's own static branch with a site of five bytes tests its key") {
  // As ModuleUnit, with room at the site: a NOP of five bytes or a jump, and a key whose entry says when it is taken.
  for (const bool taken_when_off : {false, true}) {
    EngineUnit unit("other.c");
    unit.object = "ext4";
    unit.sizes.structs = {{"jump_entry", 16}};
    for (ObjectFixture* f : {&unit.original, &unit.patched}) {
      const int body = f == &unit.original ? 0x31 : 0x33;
      unit.traced(*f, "f", {body, 0xc0, 0x90, 0x0f, 0x1f, 0x44, 0, 0, 0xc3, 0x90, 0xc3});
      f->data("fast_path", 16).global();
      f->table("__jump_table", std::vector<std::byte>(16))
          .refers(0, test::kRPc32, "f", 8)
          .refers(4, test::kRPc32, "f", 14)
          .refers(8, test::kRPc64, "fast_path", 8 + (taken_when_off ? 3 : 2));
    }
    const UnitResult result = unit.run();
    CHECK(findings(result).empty());
    CHECK_FALSE(has_section(result, "__jump_table"));
    CHECK(result.tested_keys == std::map<std::string, size_t>{{"__jump_table", 1}});
    REQUIRE(result.plan.late_entries.size() == 1);
    CHECK(result.plan.late_entries.front().offset == 8);
    CHECK(result.plan.late_entries.front().key == "fast_path");
    CHECK_THAT(result.plan.late_entries.front().treatment, Catch::StartsWith("rewritten: "));
    const auto text = std::find_if(result.plan.sections.begin(), result.plan.sections.end(),
                                   [](const PlanSection& s) { return s.name == ".text.f"; });
    REQUIRE(text != result.plan.sections.end());
    REQUIRE(text->data.size() == 16 + 18);
    const auto byte = [&](size_t at) { return std::to_integer<int>(text->data[at]); };
    // The site jumps to the test behind the function, which ends with a jump behind the site.
    CHECK((byte(8) == 0xe9 && byte(9) == 3));
    CHECK((byte(16) == 0x83 && byte(17) == 0x3d && byte(22) == 0));
    CHECK((byte(23) == 0x0f && byte(24) == (taken_when_off ? 0x84 : 0x85)));
    CHECK((byte(29) == 0xe9 && byte(30) == 0x100 - 21));
    const auto relocation = [&](uint64_t offset) -> const PlanRelocation& {
      return *std::find_if(text->relocations.begin(), text->relocations.end(),
                           [&](const PlanRelocation& r) { return r.offset == offset; });
    };
    CHECK(relocation(18).klp.symbol == "fast_path");
    CHECK(relocation(18).klp.patched_object == "ext4");
    CHECK(relocation(18).addend == 8 - 5);
    CHECK(relocation(25).target == PlanRelocation::Target::symbol);
    CHECK(relocation(25).addend == 14 - 4);
  }
}

TEST_CASE("references behind a site that loses its own keep their strings") {
  EngineUnit unit("other.c");
  unit.object = "ext4";
  unit.sizes.structs = {{"jump_entry", 16}};
  for (ObjectFixture* f : {&unit.original, &unit.patched}) {
    const int body = f == &unit.original ? 0x31 : 0x33;
    unit.traced(*f, "f", {body, 0xc0, 0x90, 0xe9, 0, 0, 0, 0})
        .refers(9, test::kRPlt32, "f.cold", -4)
        .uses_string("one")
        .uses_string("two");
    f->function("f.cold", {0x0f, 0x0b});
    f->data("fast_path", 16).global();
    f->table("__jump_table", std::vector<std::byte>(16))
        .refers(0, test::kRPc32, "f", 8)
        .refers(4, test::kRPc32, "f.cold", 0)
        .refers(8, test::kRPc64, "fast_path", 8 + 2);
  }
  const UnitResult result = unit.run();
  REQUIRE(findings(result).empty());
  CHECK(result.tested_keys.size() == 1);
  std::vector<std::string> strings;
  for (const PlanSection& text : result.plan.sections) {
    if (text.name != ".text.f") continue;
    for (const PlanRelocation& r : text.relocations) {
      if (r.target != PlanRelocation::Target::symbol) continue;
      const PlanSymbol& symbol = result.plan.symbols[r.symbol];
      const PlanSection& target = result.plan.sections[symbol.section];
      if (target.name == ".rodata.klp_str")
        strings.emplace_back(reinterpret_cast<const char*>(target.data.data()) + r.addend);
    }
  }
  CHECK(strings == std::vector<std::string>{"one", "two"});
}

TEST_CASE("a module's own static branch with a short site is refused: the new code could not follow its key") {
  const UnitResult result = ModuleUnit("fast_path").run();
  const Finding finding = only_finding(result);
  CHECK(finding.severity == Severity::refusal);
  CHECK(finding.code == "module-static-key");
}

TEST_CASE("a tracepoint whose site is compiled as a jump is refused: without its entry it would always fire") {
  CHECK(only_finding(ModuleUnit("__tracepoint_write", kJump).run()).severity == Severity::refusal);
}

TEST_CASE("a static branch that objtool has not turned off yet is, with its entry and without it") {
  for (const char* key : {"__tracepoint_write", "kernels_key"}) {
    ModuleUnit unit(key, kJump);
    if (key == std::string_view("kernels_key")) unit.object = "vmlinux";
    for (ObjectFixture* f : {&unit.original, &unit.patched}) {
      for (auto& r : f->builder().relocations(f->section("__jump_table"))) r.addend += r.offset == 8 ? 2 : 0;
    }
    const UnitResult result = unit.run();
    REQUIRE_FALSE(result.findings.has_refusal());
    CHECK(has_section(result, "__jump_table") == (key == std::string_view("kernels_key")));
    const auto text = std::find_if(result.plan.sections.begin(), result.plan.sections.end(),
                                   [](const PlanSection& s) { return s.name == ".text.f"; });
    REQUIRE(text != result.plan.sections.end());
    CHECK(text->data[8] == std::byte{0x66});
    CHECK(text->data[9] == std::byte{0x90});
  }
}

TEST_CASE("in vmlinux all entries are processed while the livepatch is loaded") {
  ModuleUnit unit("__tracepoint_write");
  unit.object = "vmlinux";
  const UnitResult result = unit.run();
  CHECK(findings(result).empty());
  CHECK(result.plan.dead_branches.empty());
  CHECK(has_section(result, "__jump_table"));
  CHECK(has_section(result, ".static_call_sites"));
  CHECK(calls_trampoline(result) == false);  // of vmlinux, not ext4
}

}  // namespace klp::diff
