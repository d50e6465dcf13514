// Lifting as far as other units have a part in it; what one unit decides alone is in the compiled pairs (lift_*.c).
#include "diff/lifting.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <random>

#include "engine_unit.h"

namespace klp::diff {
namespace {

using test::ObjectFixture;
using Kind = OutsideUse::Kind;

struct Unit : test::EngineUnit {
  Unit() : EngineUnit("other.c") {}

  /// A function without an ftrace site; `change`: its code differs on the patched side.
  void plain(const char* name, std::vector<const char*> callees, bool change = false) {
    for (ObjectFixture* f : {&original, &patched}) {
      auto& piece = f->function(name, test::to_bytes({change && f == &patched ? 0x33 : 0x31, 0xc0})).global();
      for (const char* callee : callees) piece.calls(callee);
    }
  }

  void traced_caller(const char* name, std::vector<const char*> callees) {
    for (ObjectFixture* f : {&original, &patched}) {
      auto& piece = EngineUnit::traced(*f, name, {0x90});
      for (const char* callee : callees) piece.calls(callee);
    }
  }
};

struct Outside : OutsideUses {
  std::vector<OutsideUse> uses;
  std::vector<OutsideUse> of(const std::string&) const override { return uses; }
};

std::set<std::string> names(const UnitResult& result, const std::string& change) {
  std::set<std::string> list;
  for (const FunctionReport& f : result.functions) {
    if (f.change == change) list.insert(f.name);
  }
  return list;
}

using Names = std::set<std::string>;

const Finding* finding(const UnitResult& result, std::string_view code) {
  const auto& list = result.findings.list();
  const auto found = std::find_if(list.begin(), list.end(), [&](const Finding& f) { return f.code == code; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

TEST_CASE("callers in other units are named, and the function keeps its global name for them") {
  Unit u;
  Outside outside;
  outside.uses = {{Kind::call, "fs/a.o", "caller", "caller+0x5"}, {Kind::start_call, "fs/b.o", "setup", "setup+0x5"}};
  u.outside = &outside;
  u.plain("helper", {}, true);
  u.traced_caller("f", {"helper"});
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(names(result, "changed") == Names{"helper"});
  CHECK(names(result, "lifted") == Names{"f"});
  REQUIRE(result.outside.size() == 1);
  CHECK(result.outside[0].unit == "fs/a.o");
  CHECK(result.outside[0].function == "caller");
  CHECK(result.outside[0].callee == "helper");
  REQUIRE(result.plan.functions.size() == 1);
  CHECK(result.plan.functions[0].old_name == "f");
  const auto& symbols = result.plan.symbols;
  const auto helper =
      std::find_if(symbols.begin(), symbols.end(), [](const PlanSymbol& s) { return s.name == "helper"; });
  REQUIRE(helper != symbols.end());
  CHECK(helper->bind == elf::kStbGlobal);
  const Finding* inert = finding(result, "inert");
  REQUIRE(inert != nullptr);
  CHECK(inert->severity == Severity::note);
  CHECK(inert->message.find("setup") != std::string::npos);
}

TEST_CASE("what other units do with the address is refused with the place") {
  Unit u;
  Outside outside;
  outside.uses = {{Kind::other, "", "", "its address is stored in hooks+0x8"}};
  u.outside = &outside;
  u.plain("helper", {}, true);
  u.traced_caller("f", {"helper"});
  const UnitResult result = u.run();
  const Finding* refusal = finding(result, "not-traceable");
  REQUIRE(refusal != nullptr);
  CHECK(refusal->symbol == "helper");
  CHECK(refusal->message.find("stored in hooks+0x8") != std::string::npos);
  CHECK(result.outside.empty());
}

TEST_CASE("an exported function without a site is refused") {
  Unit u;
  Outside outside;
  u.outside = &outside;
  u.exports["helper"] = {1, "vmlinux", false, ""};
  u.plain("helper", {}, true);
  u.traced_caller("f", {"helper"});
  const UnitResult result = u.run();
  REQUIRE(finding(result, "not-traceable") != nullptr);
  CHECK(finding(result, "not-traceable")->message.find("exported") != std::string::npos);
}

TEST_CASE("callers of a global that another unit carries anew are lifted and bound to it") {
  Unit u;
  u.anew["helper"] = "changed (code differs at +0x1)";
  u.vmlinux.function("helper", test::to_bytes({0xc3}));
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    test::EngineUnit::traced(*f, "f", {0x90}).calls("helper");
    test::EngineUnit::traced(*f, "other", {0x90});
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(names(result, "lifted") == Names{"f"});
  CHECK(result.klp_relocations == 0);  // not the running kernel's helper
}

TEST_CASE("a function whose site the kernel may mistake is carried by its callers") {
  const bool alone = GENERATE(true, false);
  test::EngineUnit u("unit.c");
  u.separate_vmlinux = true;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    const int change = f == &u.patched ? 0x33 : 0x31;
    f->function("shown", {0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 0, 0, 0, 0, change, 0xc0}).calls("__fentry__", 5);
    test::EngineUnit::traced(*f, "caller", {0x90}).calls("shown");
  }
  test::Piece& shown = u.vmlinux.function("shown", std::vector<std::byte>(32));
  shown.symbol().size = 11;
  test::EngineUnit::traced(u.vmlinux, "caller", {0x90}).calls("shown");
  test::Piece& table = u.vmlinux.table("__mcount_loc", std::vector<std::byte>(24));
  table.refers(0, test::kR64, "shown", 4).refers(8, test::kR64, "caller");
  if (!alone) table.refers(16, test::kR64, "shown", 20);  // an overridden weak function's
  u.object = "module";
  const UnitResult result = u.run();
  const auto& functions = result.plan.functions;
  REQUIRE(functions.size() == 1);
  CHECK(functions[0].old_name == (alone ? "shown" : "caller"));
  CHECK(names(result, "changed") == Names{"shown"});
  CHECK(names(result, "lifted") == (alone ? Names() : Names{"caller"}));
}

TEST_CASE("every caller without a site is lifted further: 300 random graphs against a fixpoint") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    constexpr int kNodes = 9;
    std::array<std::set<int>, kNodes> callees;
    std::array<bool, kNodes> site{}, live{};
    Unit u;
    Outside nobody;
    u.outside = &nobody;
    std::deque<std::string> text;
    const auto name = [&](int n) { return text.emplace_back("f" + std::to_string(n)).c_str(); };
    for (int n = 0; n < kNodes; ++n) {
      site[n] = n != 0 && random() % 3 == 0;
      for (unsigned i = random() % 3; i > 0; --i) callees[n].insert(static_cast<int>(random() % kNodes));
      std::vector<const char*> list;
      for (int callee : callees[n]) list.push_back(name(callee));
      site[n] ? u.traced_caller(name(n), list) : u.plain(name(n), list, n == 0);
    }
    live[0] = true;
    bool stuck = false;
    for (bool more = true; more;) {
      more = false;
      for (int n = 0; n < kNodes; ++n) {
        const bool reached = std::any_of(callees[n].begin(), callees[n].end(),
                                         [&](int callee) { return callee != n && live[callee] && !site[callee]; });
        if (!live[n] && reached) live[n] = more = true;
      }
    }
    Names expected;
    for (int n = 0; n < kNodes; ++n) {
      if (n != 0 && live[n]) expected.insert(name(n));
      bool called = false;
      for (int m = 0; m < kNodes; ++m) called |= m != n && callees[m].count(n) != 0;
      stuck |= live[n] && !site[n] && !called;  // nobody calls it: who uses it is not known
    }
    const UnitResult result = u.run();
    INFO("round " << round);
    CHECK(result.findings.has_refusal() == stuck);
    if (!stuck) CHECK(names(result, "lifted") == expected);
  }
}

}  // namespace klp::diff
