// Cases in which the engine once missed a change, split a variable's state or left a reference behind: each must stay
// found.
#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/emit.h"
#include "diff/engine.h"
#include "engine_unit.h"
#include "support/error.h"

namespace klp::diff {
namespace {

using test::ObjectFixture;

struct ReviewUnit : test::EngineUnit {
  ReviewUnit() : EngineUnit("unit.c") {}

  bool is_patched(const ObjectFixture* f) const { return f == &patched; }
};

bool refused(const UnitResult& result, const std::string& code, const std::string& symbol) {
  const auto& all = result.findings.list();
  return std::any_of(all.begin(), all.end(), [&](const Finding& f) {
    return f.severity == Severity::refusal && f.code == code && f.symbol == symbol;
  });
}

bool is_changed(const UnitResult& result, const std::string& name) {
  return std::any_of(result.functions.begin(), result.functions.end(),
                     [&](const FunctionReport& f) { return f.name == name && f.change == "changed"; });
}

/// .sched.text with functions of 6 bytes, then `caller` with `extra` in it and a branch of `branch` bytes to the
/// section's start.
void shared_section(ObjectFixture& object, std::initializer_list<const char*> names, int extra,
                    std::vector<int> branch) {
  std::vector<std::byte> code;
  const auto append = [&](std::initializer_list<int> bytes) {
    for (int b : bytes) code.push_back(static_cast<std::byte>(b));
  };
  int ending = 0xc3;
  for (const char* name : names) append({0xe8, 0, 0, 0, 0, std::string_view(name) == "one" ? ending : 0xf4});
  const size_t start = code.size();
  append({0xe8, 0, 0, 0, 0, extra, 0xc0});
  for (int b : branch) code.push_back(static_cast<std::byte>(b));
  const size_t end = code.size();
  code[end - (branch.size() == 2 ? 1 : 4)] = static_cast<std::byte>(-static_cast<int>(end));
  append({0xc3});
  test::Piece& piece = object.function(*names.begin(), code);
  piece.section().name = ".sched.text";
  piece.symbol().size = 6;
  for (size_t at = 0; at <= start; at += 6) piece.calls("__fentry__", at + 1);
  for (size_t i = 1; i < names.size(); ++i) object.label(*(names.begin() + i), piece, 6 * i, 6, elf::kSttFunc);
  object.label("caller", piece, start, code.size() - start, elf::kSttFunc);
}

}  // namespace

TEST_CASE("a call that the assembler resolved inside a shared section gets its relocation back") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched})
    shared_section(*f, {"one"}, u.is_patched(f) ? 0x33 : 0x31, {0xe8, 0xff, 0xff, 0xff, 0xff});
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(result.identity.matched == 2);
  CHECK(is_changed(result, "caller"));
  CHECK_FALSE(is_changed(result, "one"));
  const auto& sections = result.plan.sections;
  const auto text =
      std::find_if(sections.begin(), sections.end(), [](const PlanSection& s) { return s.name == ".text.caller"; });
  REQUIRE(text != sections.end());
  REQUIRE(text->relocations.size() == 2);
  CHECK(text->relocations[1].offset == 8);
  CHECK(text->relocations[1].klp.symbol == "one");
  CHECK(text->relocations[1].addend == -4);
  CHECK(text->data[8] == std::byte{0});
}

TEST_CASE("the NOPs in front of a function and its marks for objtool go along") {
  ReviewUnit u;
  constexpr uint64_t kPadding = 16;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    std::vector<std::byte> code(kPadding, std::byte{0x90});
    for (int b : {0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 0, 0, 0, 0, u.is_patched(f) ? 0x33 : 0x31, 0xc0, 0xeb, 0xfc, 0xc3})
      code.push_back(static_cast<std::byte>(b));
    test::Piece& piece = f->function("f", code).calls("__fentry__", kPadding + 5);
    piece.symbol().value = kPadding;
    piece.symbol().size -= kPadding;
    f->table("__patchable_function_entries", std::vector<std::byte>(8)).refers_to_section(0, test::kR64, ".text.f", 0);
    f->table(".discard.reachable", std::vector<std::byte>(4), 0).refers_to_section(0, test::kR32, ".text.f", 29);
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  REQUIRE(result.plan.functions.size() == 1);
  const PlanSymbol& symbol = result.plan.symbols[result.plan.functions[0].symbol];
  CHECK(symbol.value == kPadding);
  CHECK(symbol.size == 14);
  const PlanSection& text = result.plan.sections[symbol.section];
  CHECK(text.data.size() == kPadding + 14);
  REQUIRE(text.relocations.size() == 1);
  CHECK(text.relocations[0].offset == kPadding + 5);
  const auto& sections = result.plan.sections;
  const auto marks = std::find_if(sections.begin(), sections.end(),
                                  [](const PlanSection& s) { return s.name == ".discard.reachable"; });
  REQUIRE(marks != sections.end());
  CHECK(marks->flags == 0);
  REQUIRE(marks->relocations.size() == 1);
  CHECK(result.plan.symbols[marks->relocations[0].symbol].name.empty());  // by its section
  CHECK(marks->relocations[0].addend == 29);
  CHECK(result.special_entries.empty());

  // objtool is told that ftrace enters the function: its address in the table of replaced functions needs no ENDBR.
  const elf::ElfObject object = elf::ElfObject::parse("patch.o", emit(result.plan).serialize());
  const elf::Section* entered = object.maybe_section(".discard.noendbr");
  REQUIRE(entered != nullptr);
  REQUIRE(entered->relocations.size() == 1);
  CHECK(entered->relocations[0].symbol->is_section());
  CHECK(entered->relocations[0].symbol->section->name == ".text.f");
  CHECK(entered->relocations[0].addend == kPadding);
}

TEST_CASE("the trampoline of a new static call stays global: objtool knows it by its name") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    test::Piece& piece = ReviewUnit::traced(*f, "f", {0xe8, 0, 0, 0, 0, 0xc3});
    piece.calls(u.is_patched(f) ? "__SCT__own" : "old", 6);
    f->function("old", {0xc3});
  }
  u.patched.function("__SCT__own", {0xe9, 0, 0, 0, 0, 0x0f, 0xb9, 0xcc}).global();
  u.patched.function("fresh", {0xc3}).global();
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  const auto& symbols = result.plan.symbols;
  const auto found =
      std::find_if(symbols.begin(), symbols.end(), [](const PlanSymbol& s) { return s.name == "__SCT__own"; });
  REQUIRE(found != symbols.end());
  CHECK(found->bind == elf::kStbGlobal);
}

TEST_CASE("the same displacement to another function of a shared section is a change") {
  ReviewUnit u;
  shared_section(u.original, {"one", "two"}, 0x31, {0xe8, 0xff, 0xff, 0xff, 0xff});
  shared_section(u.patched, {"two", "one"}, 0x31, {0xe8, 0xff, 0xff, 0xff, 0xff});
  const UnitResult result = u.run();
  CHECK(is_changed(result, "caller"));
  CHECK_FALSE(is_changed(result, "one"));
  CHECK_FALSE(is_changed(result, "two"));
}

TEST_CASE("a short jump out of a carried function is refused") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched})
    shared_section(*f, {"one"}, u.is_patched(f) ? 0x33 : 0x31, {0xeb, 0xff});
  CHECK(refused(u.run(), "unsupported-relocation", "caller"));
}

TEST_CASE("a static branch that objtool has turned off in the shipped binary only is no difference") {
  for (const int64_t key_bits : {2, 0}) {
    ReviewUnit u;
    u.separate_vmlinux = true;
    u.sizes.structs = {{"jump_entry", 16}};
    for (ObjectFixture* f : {&u.original, &u.patched, &u.vmlinux}) {
      // je over it; jmp to the end, or its NOP; at last ret
      test::Piece& piece = ReviewUnit::traced(*f, "f", {0x74, 0x02, 0xeb, 0x01, 0x90, 0xc3});
      if (f == &u.vmlinux) piece.section().data[7] = std::byte{0x66};
      if (f == &u.vmlinux) piece.section().data[8] = std::byte{0x90};
      f->data("key", 16).global();
      f->table("__jump_table", std::vector<std::byte>(16))
          .refers(0, test::kRPc32, "f", 7)
          .refers(4, test::kRPc32, "f", 10)
          .refers(8, test::kRPc64, "key", key_bits);
    }
    u.vmlinux.undefined("__fentry__");
    const UnitResult result = u.run();
    CHECK(result.identity.matched == (key_bits == 2 ? 1 : 0));
    CHECK(result.identity.different == (key_bits == 2 ? 0 : 1));
  }
}

TEST_CASE("a weak function that differs is overridden only when another definition took its place") {
  for (const bool weak : {true, false}) {
    ReviewUnit u;
    u.separate_vmlinux = true;
    for (ObjectFixture* f : {&u.original, &u.patched, &u.vmlinux}) {
      test::Piece& piece = ReviewUnit::traced(*f, "f", {f == &u.original ? 0x31 : 0x33, 0xc0, 0xc3});
      if (f != &u.vmlinux || weak)
        piece.weak();
      else
        piece.global();
    }
    u.vmlinux.undefined("__fentry__");
    const UnitResult result = u.run();
    CHECK(result.identity.overridden == (weak ? 0 : 1));
    CHECK(refused(result, "identity-mismatch", "f") == weak);
  }
}

TEST_CASE("a global that the kernel has in another file is not taken for a new one") {
  ReviewUnit u;
  u.separate_vmlinux = true;
  for (ObjectFixture* f : {&u.original, &u.patched, &u.vmlinux}) {
    test::Piece& piece = ReviewUnit::traced(*f, "f", {0xff, 0x05, 0, 0, 0, 0, 0xc3});
    piece.uses(u.is_patched(f) ? "moved" : "mine", 7);
    f->data("mine", 4);
  }
  u.patched.data("moved", 4).global();
  u.vmlinux.data("moved", 4).global();
  ReviewUnit::traced(u.patched, "moved_function", {0xc3}).global();
  ReviewUnit::traced(u.vmlinux, "moved_function", {0xc3}).global();
  const UnitResult result = u.run();
  CHECK(refused(result, "ambiguous-symbol", "moved"));
  CHECK(refused(result, "ambiguous-symbol", "moved_function"));
}

TEST_CASE("a variable outside of functions is never private, whatever its name") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    ReviewUnit::traced(*f, "f", {u.is_patched(f) ? 0x33 : 0x31, 0xc0, 0xff, 0x05, 0, 0, 0, 0, 0xc3})
        .uses("descriptor", 9);
    f->data("descriptor", 4);
  }
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(result.klp_relocations == 1);
  CHECK(result.data.empty());
}

TEST_CASE("a new per-cpu variable with an address in it is refused") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    test::Piece& piece =
        ReviewUnit::traced(*f, "f", {u.is_patched(f) ? 0x33 : 0x31, 0xc0, 0xff, 0x05, 0, 0, 0, 0, 0xc3});
    piece.uses(u.is_patched(f) ? "fresh" : "old", 9);
    f->data("old", 8);
  }
  u.patched.data("fresh", 8).refers(0, test::kR64, "f").section().name = ".data..percpu";
  CHECK(refused(u.run(), "unsupported-section", "fresh"));
}

TEST_CASE("a new variable that only another unit uses is carried") {
  ReviewUnit u;
  u.wanted = {"shared"};
  for (ObjectFixture* f : {&u.original, &u.patched}) ReviewUnit::traced(*f, "f", {0xc3});
  u.patched.data("shared", 8).global();
  const UnitResult result = u.run();
  REQUIRE(result.plan.symbols.size() == 1);
  CHECK(result.plan.symbols[0].name == "shared");
  CHECK(result.plan.symbols[0].bind == elf::kStbGlobal);
}

TEST_CASE("a module's own symbol comes before an export of the same name") {
  ReviewUnit u;
  u.object = "mod";
  u.separate_vmlinux = true;
  u.exports["helper"] = {1, "vmlinux", false, ""};
  for (ObjectFixture* f : {&u.original, &u.patched, &u.vmlinux})
    ReviewUnit::traced(*f, "f", {u.is_patched(f) ? 0x33 : 0x31, 0xc0, 0xc3}).calls("helper");
  u.vmlinux.function("helper").global();  // stands for the module
  const UnitResult result = u.run();
  REQUIRE_FALSE(result.findings.has_refusal());
  CHECK(result.klp_relocations == 1);
}

TEST_CASE(
    "an address between two variables of a shared section is refused unless they are neighbours in the kernel too") {
  for (const bool is_new : {true, false}) {
    ReviewUnit u;
    for (ObjectFixture* f : {&u.original, &u.patched}) {
      test::Piece& array = f->data("array", 24);
      array.section().name = ".data..read_mostly";
      array.symbol().size = 16;
      if (!is_new || u.is_patched(f))
        f->label("fresh", array, 16, 8, elf::kSttObject);
      else
        f->label("old", array, 16, 8, elf::kSttObject);
      ReviewUnit::traced(*f, "f", {u.is_patched(f) ? 0x33 : 0x31, 0xc0, 0x48, 0x81, 0xfb, 0, 0, 0, 0, 0xc3})
          .refers_to_section(10, test::kR32S, ".data..read_mostly", 16);  // cmp $array+16,%rbx
    }
    CHECK(refused(u.run(), "ambiguous-symbol", "f") == is_new);
  }
}

TEST_CASE("a relocated field that no instruction holds is an error, not a guess") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    ReviewUnit::traced(*f, "f", {0x06, 0, 0, 0, 0, 0xc3}).uses("x", 6);  // 06: no instruction of 64-bit mode
    f->data("x", 4);
  }
  CHECK_THROWS_AS(u.run(), Error);
}

TEST_CASE("a symbol whose size runs over the address space is cut at its section's end") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    test::Piece& piece = ReviewUnit::traced(*f, "f", {0xc3, 0x31, 0xc0, 0xc3});
    piece.symbol().size = 6;
    f->label("g", piece, 6, ~uint64_t{0}, elf::kSttFunc);
  }
  CHECK_FALSE(u.run().changed);
}

TEST_CASE("a function that the patch has called at boot is refused, whatever section it lies in") {
  ReviewUnit u;
  for (ObjectFixture* f : {&u.original, &u.patched}) {
    ReviewUnit::traced(*f, "old_setup", {0xc3});
    ReviewUnit::traced(*f, "f", {u.is_patched(f) ? 0x33 : 0x31, 0xc0, 0xc3});
    f->table(".initcall6.init", std::vector<std::byte>(4), elf::kShfAlloc, 4).refers(0, test::kRPc32, "old_setup", 0);
  }
  ReviewUnit::traced(u.patched, "new_setup", {0xc3});
  u.patched.table(".initcall7.init", std::vector<std::byte>(4), elf::kShfAlloc, 4)
      .refers(0, test::kRPc32, "new_setup", 0);
  const UnitResult result = u.run();
  CHECK(refused(result, "init-code", "new_setup"));
  CHECK_FALSE(refused(result, "init-code", "old_setup"));
}

}  // namespace klp::diff
