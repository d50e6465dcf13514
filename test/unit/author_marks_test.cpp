// Callbacks, states and marks that an author's macros leave in the patched object: what the engine makes of them.
#include "diff/author_marks.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>

#include "diff/emit.h"
#include "diff/engine.h"
#include "elf/livepatch_content.h"
#include "engine_unit.h"
#include "support/error.h"
#include "support/files.h"

extern "C" {
#include "../../lib/runtime/klp_runtime.h"
}

namespace klp::diff {
namespace {

using test::ObjectFixture;

struct Unit : test::EngineUnit {
  Unit() : EngineUnit("other.c") {
    for (ObjectFixture* f : {&original, &patched}) traced(*f, "kept", {0xc3});
  }

  /// A new function and a mark for it.
  void callback(const char* kind, const char* function) {
    if (std::none_of(patched.builder().symbols().begin(), patched.builder().symbols().end(),
                     [&](const auto& s) { return s.name == function; }))
      traced(patched, function, {0x31, 0xc0, 0xc3});
    mark(fmt::format(".kpatch.callbacks.{}", kind), function);
  }

  void mark(const std::string& section, const char* function) {
    patched.table(section, std::vector<std::byte>(8), elf::kShfAlloc | elf::kShfWrite).refers(0, test::kR64, function);
  }

  void states(std::initializer_list<std::pair<uint64_t, uint64_t>> list) {
    std::vector<std::byte> data(list.size() * 16);
    size_t at = 0;
    for (const auto& [id, version] : list) {
      std::memcpy(data.data() + at, &id, 8);
      std::memcpy(data.data() + at + 8, &version, 8);
      at += 16;
    }
    patched.table(".klp_diff.states", data);
  }
};

const Finding* finding(const Findings& findings, const std::string& code) {
  for (const Finding& f : findings.list()) {
    if (f.code == code) return &f;
  }
  return nullptr;
}

std::vector<std::string> callbacks(const PatchObject& plan) {
  std::vector<std::string> result;
  for (const PlanCallback& c : plan.callbacks)
    result.push_back(fmt::format("{} {}", elf::to_string(c.kind), plan.symbols[c.symbol].name));
  return result;
}

}  // namespace

TEST_CASE("lib/runtime and klp_abi agree on the tables", "[author_marks]") {
  CHECK(sizeof(klp_diff_func) == elf::kFuncsEntrySize);
  CHECK(sizeof(klp_diff_callback) == elf::kCallbacksEntrySize);
  CHECK(offsetof(klp_diff_callback, function) == 8);
  CHECK(offsetof(klp_diff_callback, kind) == 16);
  CHECK(sizeof(klp_diff_state) == elf::kStatesEntrySize);
  CHECK(offsetof(klp_diff_state, version) == 8);
  CHECK(KLP_DIFF_PRE_PATCH == static_cast<int>(elf::CallbackKind::pre_patch));
  CHECK(KLP_DIFF_POST_PATCH == static_cast<int>(elf::CallbackKind::post_patch));
  CHECK(KLP_DIFF_PRE_UNPATCH == static_cast<int>(elf::CallbackKind::pre_unpatch));
  CHECK(KLP_DIFF_POST_UNPATCH == static_cast<int>(elf::CallbackKind::post_unpatch));
}

TEST_CASE("callbacks alone make a patch: they are carried with what they call, and replace nothing", "[author_marks]") {
  Unit u;
  u.object = GENERATE(std::string("vmlinux"), std::string("zram"));
  Unit::traced(u.patched, "helper", {0xc3});
  Unit::traced(u.patched, "set_up", {0x90}).calls("helper");
  u.callback("pre_patch", "set_up");
  u.callback("post_unpatch", "tear_down");
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(result.changed);
  CHECK(result.plan.functions.empty());
  CHECK(callbacks(result.plan) == std::vector<std::string>{"pre_patch set_up", "post_unpatch tear_down"});
  REQUIRE(result.functions.size() == 3);
  for (const FunctionReport& f : result.functions) {
    CHECK(f.change == "new");
    CHECK_FALSE(f.patched);
    CHECK_THAT(f.because.back(),
               Catch::EndsWith(f.name == "tear_down" ? "post-unpatch callback" : "pre-patch callback"));
  }
  CHECK(dump(result.plan).find("pre_patch callback set_up\n") != std::string::npos);

  elf::ObjectBuilder builder = emit(result.plan);
  const TempDir work(fs::temp_directory_path(), "author-marks-test");
  builder.write(work.path() / "patch.o");
  const elf::ElfObject written = elf::ElfObject::read(work.path() / "patch.o");
  elf::LivepatchContent content;
  elf::read_callbacks(written, content);
  CHECK(content.faults.empty());
  REQUIRE(content.callbacks.size() == 2);
  CHECK(content.callbacks[0].object == u.object);
  CHECK(content.callbacks[0].kind == "pre_patch");
  CHECK(content.callbacks[0].function == "set_up");
  CHECK(content.callbacks[1].kind == "post_unpatch");
  CHECK(written.maybe_section(".kpatch.callbacks.pre_patch") == nullptr);
}

TEST_CASE("kpatch's own layout of a callback: a pointer and room for a name", "[author_marks]") {
  Unit u;
  Unit::traced(u.patched, "set_up", {0xc3});
  u.patched.table(".kpatch.callbacks.post_patch", std::vector<std::byte>(16), elf::kShfAlloc | elf::kShfWrite)
      .refers_to_section(0, test::kR64, ".text.set_up", 0);
  CHECK(callbacks(u.run().plan) == std::vector<std::string>{"post_patch set_up"});
}

TEST_CASE("one function may be called at several times", "[author_marks]") {
  Unit u;
  u.callback("post_patch", "tell");
  u.callback("pre_unpatch", "tell");
  const UnitResult result = u.run();
  CHECK(result.plan.callbacks.size() == 2);
  REQUIRE(result.functions.size() == 1);
  CHECK(result.functions[0].because == std::vector<std::string>{"post-patch callback and pre-unpatch callback"});
}

TEST_CASE("callbacks that cannot be meant are refused by name", "[author_marks]") {
  Unit u;
  SECTION("two of one kind") {
    u.callback("pre_patch", "one");
    u.callback("pre_patch", "two");
    const UnitResult result = u.run();
    REQUIRE(finding(result.findings, "callback") != nullptr);
    CHECK(finding(result.findings, "callback")->message.find("one and two") != std::string::npos);
  }
  SECTION("a function of the running kernel") {
    u.mark(".kpatch.callbacks.pre_patch", "kept");
    const UnitResult result = u.run();
    CHECK(result.findings.has_refusal());
    REQUIRE(finding(result.findings, "callback") != nullptr);
    CHECK(finding(result.findings, "callback")->symbol == "kept");
  }
  SECTION("a function of another file") {
    u.mark(".kpatch.callbacks.pre_patch", "elsewhere");
    const UnitResult result = u.run();
    REQUIRE(finding(result.findings, "callback") != nullptr);
    CHECK(finding(result.findings, "callback")->symbol == "elsewhere");
  }
  SECTION("sections that no macro makes") {
    Unit::traced(u.patched, "f", {0xc3});
    const std::string section = GENERATE(std::string(".kpatch.callbacks.mid_patch"), std::string(".klp_diff.states"));
    CAPTURE(section);
    u.mark(section, "f");
    CHECK_THROWS_AS(u.run(), Error);
  }
  SECTION("data") {
    u.patched.data("table", 8);
    u.mark(".kpatch.callbacks.pre_patch", "table");
    CHECK_THROWS_AS(u.run(), Error);
  }
}

TEST_CASE("two files of one livepatch must agree", "[author_marks]") {
  Unit u;
  u.callback("pre_patch", "set_up");
  u.states({{7, 1}});
  PatchObject one = u.run().plan, other = one;
  other.unit = "other.o";
  const Findings both = conflicts({one, other});
  REQUIRE(both.list().size() == 1);
  CHECK(both.has_refusal());
  CHECK(both.list()[0].message.find("set_up of unit.o and set_up of other.o") != std::string::npos);
  other.object = "zram";
  CHECK(conflicts({one, other}).empty());
  other.states[0].version = 2;
  CHECK(conflicts({one, other}).has_refusal());
}

TEST_CASE("states are the module's, also when nothing else is", "[author_marks]") {
  Unit u;
  u.states({{7, 1}, {8, 4294967295}, {7, 1}});
  const UnitResult result = u.run();
  CHECK(result.changed);
  REQUIRE(result.plan.states.size() == 2);
  CHECK(result.plan.states[1].id == 8);
  CHECK(result.plan.states[1].version == 4294967295);
}

TEST_CASE("states that cannot be are refused", "[author_marks]") {
  Unit u;
  SECTION("two versions") {
    u.states({{7, 1}, {7, 2}});
    CHECK(finding(u.run().findings, "callback") != nullptr);
  }
  SECTION("an id of 0, which ends the kernel's list") {
    u.states({{0, 1}});
    CHECK_THROWS_AS(u.run(), Error);
  }
  SECTION("a version that the kernel has no room for") {
    u.states({{7, 4294967296}});
    CHECK_THROWS_AS(u.run(), Error);
  }
}

TEST_CASE("a callback may use the livepatch that it is a part of", "[author_marks]") {
  Unit u;
  Unit::traced(u.patched, "set_up", {0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xc3}).uses("klp_diff_patch", 8);
  u.mark(".kpatch.callbacks.pre_patch", "set_up");
  const UnitResult result = u.run();
  CHECK_FALSE(result.findings.has_refusal());
  CHECK(dump(result.plan).find("plain klp_diff_patch") != std::string::npos);
}

TEST_CASE("ignored changes are left out and told", "[author_marks]") {
  Unit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    const int value = f == &u.original ? 0x31 : 0x33;
    Unit::traced(*f, "wanted", {value, 0xc0});
    Unit::traced(*f, "unwanted", {value, 0xc0});
    f->rodata("table", 4).bytes({value, 0, 0, 0});
  }
  SECTION("without the marks both are changes, and the data is refused") {
    const UnitResult result = u.run();
    CHECK(result.plan.functions.size() == 2);
    CHECK(finding(result.findings, "changed-data") != nullptr);
  }
  SECTION("with them") {
    u.mark(".kpatch.ignore.functions", "unwanted");
    const auto at = static_cast<int64_t>(u.patched.string(".rodata.table"));
    u.patched.table(".kpatch.ignore.sections", std::vector<std::byte>(8), elf::kShfAlloc | elf::kShfWrite)
        .refers_to_section(0, test::kR64, ".rodata.str1.1", at);
    const UnitResult result = u.run();
    CHECK_FALSE(result.findings.has_refusal());
    REQUIRE(result.plan.functions.size() == 1);
    CHECK(result.plan.functions[0].old_name == "wanted");
    std::vector<std::string> told;
    for (const Finding& f : result.findings.list()) {
      CHECK(f.severity == Severity::warning);
      if (f.code == "changed-layout") continue;  // the objects have no debug information
      CHECK(f.code == "ignored-change");
      told.push_back(f.symbol);
    }
    CHECK(told == std::vector<std::string>{"unwanted", "table"});
  }
}

TEST_CASE("global variables of kpatch's macros are not carried for other files", "[author_marks]") {
  Unit u;
  u.carry_new_globals = true;
  Unit::traced(u.patched, "fresh", {0xc3}).global();
  test::Piece& mark = u.patched.data("__kpatch_ignore_func_kept", 8).global().refers(0, test::kR64, "kept");
  mark.section().name = ".kpatch.ignore.functions";
  const UnitResult result = u.run();
  CHECK(result.functions.size() == 1);
  CHECK(result.data.empty());
}

TEST_CASE("KPATCH_FORCE_UNSAFE is told to have no effect", "[author_marks]") {
  Unit u;
  Unit::traced(u.original, "f", {0x31, 0xc0});
  Unit::traced(u.patched, "f", {0x33, 0xc0});
  u.mark(".kpatch.force", "f");
  const UnitResult result = u.run();
  CHECK_FALSE(result.findings.has_refusal());
  CHECK(result.plan.functions.size() == 1);
  REQUIRE(finding(result.findings, "stall-risk") != nullptr);
  CHECK(finding(result.findings, "stall-risk")->severity == Severity::warning);
}

}  // namespace klp::diff
