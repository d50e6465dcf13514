// The engine on objects made in memory: what counts as changed, what is carried, how references are resolved, what is
// refused.
#include "diff/engine.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "engine_unit.h"

namespace klp::diff {
namespace {

using test::ObjectFixture;

/// By default the original object itself stands for vmlinux.
struct Unit : test::EngineUnit {
  Unit() : EngineUnit("other.c") {
    exports["printk"] = {1, "vmlinux", false, ""};
    sizes.structs = {{"alt_instr", 12},       {"paravirt_patch_site", 16},   {"jump_entry", 16},
                     {"static_call_site", 8}, {"exception_table_entry", 12}, {"bug_entry", 12}};
  }
};

bool has_code(const UnitResult& result, const std::string& code) {
  return std::any_of(result.findings.list().begin(), result.findings.list().end(),
                     [&](const Finding& f) { return f.code == code; });
}

std::vector<std::string> names(const UnitResult& result, const std::string& change) {
  std::vector<std::string> list;
  for (const FunctionReport& f : result.functions) {
    if (f.change == change) list.push_back(f.name);
  }
  return list;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("equal objects have no difference") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "f", {0x90, 0xc3}).calls("g");
    Unit::traced(*f, "g", {0x31, 0xc0, 0xc3}).uses_string("text");
    f->data("state", 8).refers(0, test::kR64, "g");
  }
  const UnitResult result = u.run();
  CHECK_FALSE(result.changed);
  CHECK(result.functions.empty());
  CHECK(result.identity.matched == 2);
}

TEST_CASE("a changed instruction makes the function a root, its callees stay where they are") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "helper", {0xc3});
    Unit::traced(*f, "f", {static_cast<int>(f == &u.original ? 0x31 : 0x33), 0xc0}).calls("helper");
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(names(result, "changed") == Names{"f"});
  REQUIRE(result.plan.functions.size() == 1);
  CHECK(result.plan.functions[0].old_name == "f");
  CHECK(result.klp_relocations == 1);  // helper; __fentry__ is exported
}

TEST_CASE("strings are compared by value, not by place") {
  Unit u;
  u.patched.string("something in front");
  for (ObjectFixture* f : {&u.original, &u.patched}) Unit::traced(*f, "f", {0x90}).uses_string("same");
  CHECK_FALSE(u.run().changed);
}

TEST_CASE("a changed string changes its reader and travels with it") {
  Unit u;
  Unit::traced(u.original, "f", {0x90}).uses_string("old");
  Unit::traced(u.patched, "f", {0x90}).uses_string("new");
  const UnitResult result = u.run();
  CHECK(names(result, "changed") == Names{"f"});
  const auto strings = std::find_if(result.plan.sections.begin(), result.plan.sections.end(),
                                    [](const PlanSection& s) { return s.name == ".rodata.klp_str"; });
  REQUIRE(strings != result.plan.sections.end());
  CHECK(strings->data == test::to_bytes({'n', 'e', 'w', 0}));
}

TEST_CASE("a new function and new data are carried only when something reaches them") {
  Unit u;
  Unit::traced(u.original, "f", {0xc3});
  Unit::traced(u.patched, "f", {0x90}).calls("fresh");
  Unit::traced(u.patched, "fresh", {0x90})
      .uses("count", 6)
      .bytes(test::to_bytes({0xe8, 0, 0, 0, 0, 0xff, 0x05, 0, 0, 0, 0, 0xc3}))
      .uses("count", 7);
  u.patched.data("count", 4).bss();
  Unit::traced(u.patched, "unused", {0xc3});
  const UnitResult result = u.run();
  CHECK(names(result, "new") == Names{"fresh"});
  REQUIRE(result.data.size() == 1);
  CHECK(result.data[0].name == "count");
  CHECK(result.klp_relocations == 0);
  const auto fresh = std::find_if(result.functions.begin(), result.functions.end(),
                                  [](const FunctionReport& f) { return f.name == "fresh"; });
  CHECK(fresh->because.front() == "called by f");
}

TEST_CASE("the address of a replaced function means the original") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    // f calls itself and stores its own address.
    auto& piece =
        Unit::traced(*f, "f", {static_cast<int>(f == &u.original ? 0x31 : 0x33), 0xc0, 0x48, 0xc7, 0xc7, 0, 0, 0, 0});
    piece.refers(10, test::kR32S, "f", 0);
    piece.calls("f");
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  const auto text = std::find_if(result.plan.sections.begin(), result.plan.sections.end(),
                                 [](const PlanSection& s) { return s.name == ".text.f"; });
  REQUIRE(text != result.plan.sections.end());
  size_t klp = 0, direct = 0;
  for (const PlanRelocation& r : text->relocations) {
    if (r.target == PlanRelocation::Target::klp) {
      ++klp;
      CHECK(r.offset == 10);
    } else if (r.target == PlanRelocation::Target::symbol) {
      ++direct;
      CHECK(r.type == test::kRPlt32);
    }
  }
  CHECK(klp == 1);
  CHECK(direct == 1);
}

TEST_CASE("changed data of the running kernel is refused") {
  Unit u;
  Unit::traced(u.original, "f", {0xc3});
  Unit::traced(u.patched, "f", {0xc3});
  u.original.data("table", 4).bytes({1, 2, 3, 4});
  u.patched.data("table", 4).bytes({1, 2, 3, 5});
  const UnitResult result = u.run();
  CHECK(has_code(result, "changed-data"));
  CHECK(result.findings.has_refusal());
}

TEST_CASE("data that grows is refused") {
  Unit u;
  u.original.data("table", 4).bss();
  u.patched.data("table", 8).bss();
  CHECK(has_code(u.run(), "changed-data"));
}

TEST_CASE("a changed function without an ftrace site is refused") {
  Unit u;
  u.original.function("quiet", {0x31, 0xc0, 0xc3});
  u.patched.function("quiet", {0x33, 0xc0, 0xc3});
  const UnitResult result = u.run();
  CHECK(has_code(result, "not-traceable"));
  CHECK(result.plan.functions.empty());
}

TEST_CASE("changed boot-time code is refused") {
  Unit u;
  u.original.table(".init.text", test::to_bytes({0x31, 0xc0, 0xc3}), elf::kShfAlloc | elf::kShfExec);
  u.patched.table(".init.text", test::to_bytes({0x33, 0xc0, 0xc3}), elf::kShfAlloc | elf::kShfExec);
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    elf::BuilderSymbol symbol;
    symbol.name = "setup";
    symbol.size = 3;
    symbol.type = elf::kSttFunc;
    symbol.place = elf::SymbolPlace::section;
    symbol.section = &f->section(".init.text");
    f->builder().add_symbol(symbol);
  }
  CHECK(has_code(u.run(), "init-code"));
}

TEST_CASE("a .cold part belongs to its parent") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "f", {0xe9, 0, 0, 0, 0}).calls("f.cold", 6);
    f->function("f.cold", {static_cast<int>(f == &u.original ? 0x31 : 0x33), 0xc0, 0xc3});
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(names(result, "changed") == Names{"f"});
  CHECK(names(result, "bundled") == Names{"f.cold"});
  CHECK(result.plan.functions.size() == 1);
}

namespace {
/// `f` has `incl a; incl b` behind a byte that differs; the statics may have other numbers on the two sides.
void uses_two(ObjectFixture& fixture, uint8_t differs, const char* a, const char* b) {
  auto& f = Unit::traced(fixture, "f", {differs, 0xc0, 0xff, 0x05, 0, 0, 0, 0, 0xff, 0x05, 0, 0, 0, 0});
  f.uses(a, 9);
  f.uses(b, 15);
}
}  // namespace

TEST_CASE("without debug information, a numbered static is paired when its users leave one candidate") {
  Unit u;
  u.original.data("n.0", 4).bss();
  u.patched.data("n.7", 4).bss();
  uses_two(u.original, 0x31, "n.0", "n.0");
  uses_two(u.patched, 0x33, "n.7", "n.7");
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(result.data.empty());
  CHECK(result.klp_relocations == 2);
}

TEST_CASE("without debug information, two numbered statics of a changed function are refused") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    f->data("n.0", 4).bss();
    f->data("n.1", 4).bss();
  }
  uses_two(u.original, 0x31, "n.0", "n.1");
  uses_two(u.patched, 0x33, "n.1", "n.0");
  CHECK(has_code(u.run(), "ambiguous-symbol"));
}

TEST_CASE("without debug information, an unchanged user tells two numbered statics apart") {
  Unit u;
  const auto other = [](ObjectFixture& fixture, const char* a, const char* b) {
    auto& g = Unit::traced(fixture, "g", {0xff, 0x05, 0, 0, 0, 0, 0xff, 0x0d, 0, 0, 0, 0});
    g.uses(a, 7);
    g.uses(b, 13);
  };
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    f->data("n.0", 4).bss();
    f->data("n.1", 4).bss();
  }
  uses_two(u.original, 0x31, "n.0", "n.1");
  uses_two(u.patched, 0x33, "n.1", "n.0");
  other(u.original, "n.0", "n.1");
  other(u.patched, "n.1", "n.0");
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  std::vector<std::string> targets;
  for (const PlanSection& section : result.plan.sections) {
    for (const PlanRelocation& r : section.relocations) {
      if (r.target == PlanRelocation::Target::klp) targets.push_back(r.klp.symbol);
    }
  }
  CHECK(targets == std::vector<std::string>{"n.0", "n.1"});
}

TEST_CASE("private statics are carried with their users") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    auto& piece =
        Unit::traced(*f, "f", {static_cast<int>(f == &u.original ? 0x31 : 0x33), 0xc0, 0xff, 0x05, 0, 0, 0, 0});
    f->data("__warned.7", 1).bss();
    piece.uses("__warned.7", 9);
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  REQUIRE(result.data.size() == 1);
  CHECK(result.data[0].name == "__warned.7");
}

TEST_CASE("a symbol that the kernel does not have is refused, one that it has is a klp reference") {
  Unit u;
  Unit::traced(u.original, "f", {0xc3});
  Unit::traced(u.patched, "f", {0x90}).calls("hidden").calls("nowhere").calls("printk");
  u.vmlinux.function("hidden").global();
  const UnitResult result = u.run();
  REQUIRE(has_code(result, "missing-symbol"));
  for (const Finding& f : result.findings.list()) {
    if (f.code == "missing-symbol") CHECK(f.message.find("nowhere") != std::string::npos);
  }
}

TEST_CASE("an original that is not the shipped code is refused once something changed") {
  Unit u;
  ObjectFixture shipped;
  shipped.file("unit.c");
  Unit::traced(u.original, "f", {0x31, 0xc0, 0xc3});
  Unit::traced(u.patched, "f", {0x33, 0xc0, 0xc3});
  Unit::traced(u.original, "other", {0x31, 0xc9, 0xc3});
  Unit::traced(u.patched, "other", {0x31, 0xc9, 0xc3});
  Unit::traced(shipped, "f", {0x31, 0xc0, 0xc3});
  Unit::traced(shipped, "other", {0x31, 0xd2, 0xc3});
  const elf::ElfObject a = u.original.result(), b = u.patched.result(), s = shipped.result("vmlinux");
  const elf::SymbolIndex index(s);
  UnitInput input{&a, &b, "unit.o", "vmlinux", &index, &index, &u.exports, u.sizes, {}, {}, true};
  const UnitResult result = analyse(input);
  REQUIRE(has_code(result, "identity-mismatch"));
  CHECK(result.identity.different == 1);
}

TEST_CASE("table entries follow their function, unknown tables are refused") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "f", {static_cast<int>(f == &u.original ? 0x31 : 0x33), 0xc0, 0x0f, 0x0b, 0xc3});
    Unit::traced(*f, "g", {0x0f, 0x0b, 0xc3});
    auto& bugs = f->table("__bug_table", std::vector<std::byte>(24), elf::kShfAlloc | elf::kShfWrite, 1);
    bugs.refers(0, test::kRPc32, "f", 7);
    bugs.refers(12, test::kRPc32, "g", 5);
  }
  SECTION("known") {
    const UnitResult result = u.run();
    REQUIRE_FALSE(result.findings.has_refusal());
    CHECK(result.special_entries.at("__bug_table") == 1);
  }
  SECTION("unknown") {
    u.patched.table("__mystery", std::vector<std::byte>(8)).refers(0, test::kR64, "f");
    u.original.table("__mystery", std::vector<std::byte>(8)).refers(0, test::kR64, "f");
    CHECK(has_code(u.run(), "unsupported-section"));
  }
}

TEST_CASE("a global variable in a section of its own is no unknown table") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "f", {static_cast<int>(f == &u.original ? 0x31 : 0x33), 0xc0, 0xc3});
    elf::BuilderSymbol symbol;
    symbol.name = "rt_class";
    symbol.size = 8;
    symbol.type = elf::kSttObject;
    symbol.bind = elf::kStbGlobal;
    symbol.place = elf::SymbolPlace::section;
    f->table("__rt_class", std::vector<std::byte>(8)).refers(0, test::kR64, "f");
    symbol.section = &f->section("__rt_class");
    f->builder().add_symbol(symbol);
  }
  const UnitResult result = u.run();
  CHECK_FALSE(result.findings.has_refusal());
  CHECK(names(result, "changed") == Names{"f"});
}

TEST_CASE("a line number in the bug table is no change") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "f", {0x0f, 0x0b, 0xc3});
    std::vector<std::byte> entry(12);
    entry[8] = static_cast<std::byte>(f == &u.original ? 10 : 11);
    f->table("__bug_table", entry, elf::kShfAlloc | elf::kShfWrite, 1).refers(0, test::kRPc32, "f", 5);
  }
  CHECK_FALSE(u.run().changed);
}

TEST_CASE("the flags in the bug table are a change") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    Unit::traced(*f, "f", {0x0f, 0x0b, 0xc3});
    std::vector<std::byte> entry(12);
    entry[10] = static_cast<std::byte>(f == &u.original ? 1 : 3);
    f->table("__bug_table", entry, elf::kShfAlloc | elf::kShfWrite, 1).refers(0, test::kRPc32, "f", 5);
  }
  CHECK(names(u.run(), "changed") == Names{"f"});
}

TEST_CASE("a bug table of 7.x: entries of 16 bytes, the line at 12") {
  const auto make = [](Unit& u, size_t changed) {
    for (ObjectFixture* f : {&u.original, &u.patched}) {
      Unit::traced(*f, "f", {0x0f, 0x0b, 0xc3});
      Unit::traced(*f, "g", {0x0f, 0x0b, 0xc3});
      std::vector<std::byte> entries(32);
      entries[16 + changed] = static_cast<std::byte>(f == &u.original ? 1 : 3);
      auto& bugs = f->table("__bug_table", entries, elf::kShfAlloc | elf::kShfWrite, 1);
      bugs.refers(0, test::kRPc32, "f", 5);
      bugs.refers(16, test::kRPc32, "g", 5);
    }
    u.sizes.structs["bug_entry"] = 16;
  };
  SECTION("another line is no change") {
    Unit u;
    make(u, 12);
    CHECK_FALSE(u.run().changed);
  }
  SECTION("other flags are one, of the entry's owner") {
    Unit u;
    make(u, 14);
    CHECK(names(u.run(), "changed") == Names{"g"});
  }
}

TEST_CASE("a table with the size of its entries in the header is read, with another size refused") {
  const auto run = [](uint64_t size) {
    Unit u;
    u.sizes.structs["bug_entry"] = 16;
    for (ObjectFixture* f : {&u.original, &u.patched}) {
      Unit::traced(*f, "f", {0x0f, 0x0b, 0xc3});
      auto& bugs = f->table("__bug_table", std::vector<std::byte>(16), elf::kShfAlloc | elf::kShfMerge, 1);
      bugs.refers(0, test::kRPc32, "f", 5);
      f->section("__bug_table").entsize = size;
    }
    return u.run().changed;
  };
  CHECK_FALSE(run(16));
  CHECK_THROWS_WITH(run(8), Catch::Contains("the linker may merge"));
}

}  // namespace klp::diff
