// ppc64le: what the architecture answers, and what the engine makes of objects of the large code model.
#include "diff/emit.h"
#include "diff/engine.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "arch/arch.h"
#include "elf/disassembler.h"
#include "engine_unit.h"
#include "support/error.h"

namespace klp::test {
namespace {

// Relocation types (64-bit ELF V2 ABI, 3.5.3).
constexpr uint32_t kAddr32 = 1, kRel24 = 10, kRel14 = 11, kRel32 = 26, kAddr64 = 38, kRel64 = 44, kToc16 = 47,
                   kToc16Lo = 48, kToc16Ha = 50, kToc = 51, kToc16Ds = 63, kToc16LoDs = 64, kTocSave = 109,
                   kRel24NoToc = 116, kEntry = 118, kPcrel34 = 132, kRel16Lo = 250, kRel16Ha = 252;
// Instructions.
constexpr uint32_t kLdR2 = 0xe84cfff8, kAddR2 = 0x7c426214, kMflr = 0x7c0802a6, kStdLr = 0xf8010010, kBl = 0x48000001,
                   kB = 0x48000000, kNop = 0x60000000, kBlr = 0x4e800020, kLi = 0x38600000, kAddis = 0x3d220000,
                   kLd = 0xe9290000, kAddi = 0x39290000;
constexpr uint8_t kLocalEntry8 = 3 << 5;

const arch::Arch& power() {
  return arch::arch_for(ObjectFixture::kPpc64);
}

/// A function of the large model in the making: the bytes in front of it, both entry points, the ftrace site.
class Function {
 public:
  Function(ObjectFixture& object, std::string_view name, bool traced = true) : piece_(object.function(name, {})) {
    piece_.symbol().value = 8;
    piece_.symbol().other = kLocalEntry8;
    piece_.bytes(std::vector<std::byte>(8)).refers(0, kRel64, ".TOC.", -8);
    piece_.refers(8, kEntry, "");
    word(kLdR2).word(kAddR2);
    if (traced) word(kMflr).word(kBl, kRel24, "_mcount");
  }

  Function& word(uint32_t value) {
    auto content = piece_.section().data;
    for (int shift = 0; shift < 32; shift += 8) content.push_back(static_cast<std::byte>(value >> shift));
    piece_.bytes(std::move(content));
    piece_.symbol().size = piece_.section().data.size() - 8;
    return *this;
  }
  Function& word(uint32_t value, uint32_t type, std::string_view target, int64_t addend = 0) {
    piece_.refers(piece_.section().data.size(), type, target, addend);
    return word(value);
  }
  Function& calls(std::string_view target) { return word(kBl, kRel24, target).word(kNop); }
  /// Loads the slot at this offset of .toc.
  Function& loads(int64_t slot) {
    const uint64_t at = piece_.section().data.size();
    piece_.refers_to_section(at, kToc16Ha, ".toc", slot).refers_to_section(at + 4, kToc16LoDs, ".toc", slot);
    return word(kAddis).word(kLd);
  }
  void end() { word(kBlr); }

  Piece& piece() { return piece_; }

 private:
  Piece& piece_;
};

Piece& toc(ObjectFixture& object, uint64_t slots) {
  return object.table(".toc", std::vector<std::byte>(8 * slots), elf::kShfAlloc | elf::kShfWrite);
}

struct Unit : EngineUnit {
  Unit() : EngineUnit("other.c", ObjectFixture::kPpc64, 2) {
    for (const char* name : {"_mcount", "printk"}) exports[name] = {1, "vmlinux", false, ""};
    sizes.structs = {{"jump_entry", 16}, {"exception_table_entry", 8}, {"bug_entry", 12}};
  }

  template <typename Make>
  void both(Make make) {
    for (ObjectFixture* f : {&original, &patched}) make(*f, f == &patched);
  }
};

std::vector<std::string> refusals(const diff::UnitResult& result) {
  std::vector<std::string> list;
  for (const Finding& f : result.findings.list()) {
    if (f.severity == Severity::refusal) list.push_back(f.code + ": " + f.message);
  }
  return list;
}

using Texts = std::vector<std::string>;

std::vector<std::string> changed(const diff::UnitResult& result) {
  std::vector<std::string> list;
  for (const diff::FunctionReport& f : result.functions) {
    if (f.change == "changed") list.push_back(f.name);
  }
  return list;
}

bool has_line(const diff::UnitResult& result, const std::string& line) {
  INFO(diff::dump(result.plan));
  return diff::dump(result.plan).find(line) != std::string::npos;
}

std::vector<std::byte> words(std::initializer_list<uint32_t> values) {
  std::vector<std::byte> result;
  for (const uint32_t value : values) {
    for (int shift = 0; shift < 32; shift += 8) result.push_back(static_cast<std::byte>(value >> shift));
  }
  return result;
}

}  // namespace

TEST_CASE("ppc64: every relocation type has its field, or is refused by name") {
  struct Known {
    uint32_t type;
    unsigned width;
    bool pc_relative;
    uint64_t mask;
    bool loaded;  // the module loader applies it
    bool late;    // also when the module is write-protected, in writable data
  };
  const Known all[] = {
      {0, 0, false, ~0ULL, false, false},          {kTocSave, 0, false, ~0ULL, false, false},
      {kEntry, 0, false, ~0ULL, false, false},     {kAddr32, 4, false, ~0ULL, true, false},
      {kAddr64, 8, false, ~0ULL, true, true},      {kToc, 8, false, ~0ULL, true, false},
      {kRel32, 4, true, ~0ULL, true, false},       {kRel64, 8, true, ~0ULL, true, false},
      {kRel24, 4, true, 0x03fffffc, true, true},   {kRel14, 4, true, 0xfffc, false, false},
      {kToc16, 2, false, 0xffff, true, false},     {kToc16Lo, 2, false, 0xffff, true, false},
      {kToc16Ha, 2, false, 0xffff, true, false},   {kToc16Ds, 2, false, 0xfffc, true, false},
      {kToc16LoDs, 2, false, 0xfffc, true, false}, {kRel16Lo, 2, true, 0xffff, true, false},
      {kRel16Ha, 2, true, 0xffff, true, false},
  };
  elf::Section section;
  section.name = ".text.f";
  for (const Known& known : all) {
    INFO(known.type);
    const arch::FieldKind kind = power().field_kind({.type = known.type, .section = &section});
    CHECK(kind.width == known.width);
    CHECK(kind.pc_relative == known.pc_relative);
    CHECK(kind.mask == known.mask);
    CHECK(power().loader_accepts(known.type) == known.loaded);
    CHECK(power().loader_accepts_late(known.type, elf::kShfAlloc | elf::kShfWrite) == known.late);
    CHECK(power().loader_accepts_late(known.type, elf::kShfAlloc) == (known.type == kRel24));
  }
  for (const uint32_t type : {14U, 17U, 67U, 112U}) {
    CHECK_THROWS_WITH(power().field_kind({.offset = 4, .type = type, .section = &section}),
                      Catch::Contains(".text.f+0x4: relocation R_PPC64_"));
  }
  for (const uint32_t type : {kRel24NoToc, kPcrel34}) {
    try {
      power().field_kind({.type = type, .section = &section});
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK_THAT(error.hint(), Catch::Contains("-mno-pcrel"));
    }
  }
}

TEST_CASE("ppc64: a field's bits are cleared, the instruction's stay") {
  auto bytes = words({0x4bfffff1});  // bl .-0x10
  arch::clear_field(power().field_kind({.type = kRel24}), bytes);
  CHECK(bytes == words({kBl}));
  bytes = words({0xe9298009});  // ldu r9,-0x7ff8(r9)
  arch::clear_field(power().field_kind({.type = kToc16LoDs}), std::span(bytes).first(2));
  CHECK(bytes == words({0xe9290001}));
}

TEST_CASE("ppc64: code is split into words, branches have their targets") {
  const elf::Disassembler disassembler(ObjectFixture::kPpc64);
  // bl .+8; nop; b .-8; beq cr1,.+0x10; bl .-0x10 with an absolute address; pld; an unknown word; a rest
  auto code = words({0x48000009, kNop, 0x4bfffff8, 0x41860010, 0x48000013, 0x04100000, 0xe4600000, 0});
  code.push_back(std::byte{0});
  const auto list = disassembler.decode(code);
  REQUIRE(list.size() == 8);
  CHECK((list[0].flow == elf::Flow::call && list[0].target == 8));
  CHECK((list[1].nop && list[2].number == 1));
  CHECK((list[2].flow == elf::Flow::jump && list[2].target == 0));
  CHECK((list[3].flow == elf::Flow::conditional_jump && list[3].target == 0x1c));
  CHECK(list[4].flow == elf::Flow::none);
  CHECK((list[5].size == 8 && list[6].size == 4 && list[7].size == 1));
  const auto fill = disassembler.decode(words({0x60420000, 0x60210000, 0x63ff0000}));
  CHECK((fill[0].nop && fill[1].nop));
  CHECK_FALSE(fill[2].nop);                                     // a speculation barrier
  const auto other = disassembler.decode(words({0x40860010}));  // bne
  CHECK(other[0].condition != list[3].condition);
}

TEST_CASE("ppc64: the ftrace site is at the local entry point") {
  const auto has_site = [](ObjectFixture& fixture) {
    const elf::ElfObject object = fixture.result();
    const elf::Symbol& f = *object.symbols_named("f").at(0);
    return power().has_ftrace_site({object, f, f.section->data.subspan(f.value), f.section->relocations, f.value});
  };
  const auto fixture = [] { return ObjectFixture(ObjectFixture::kPpc64, 2); };
  SECTION("large model") {
    ObjectFixture o = fixture();
    Function(o, "f").end();
    CHECK(has_site(o));
  }
  SECTION("with the link register saved first") {
    ObjectFixture o = fixture();
    Function(o, "f", false).word(kMflr).word(kStdLr).word(kBl, kRel24, "_mcount").end();
    CHECK(has_site(o));
  }
  SECTION("medium model: the local entry point is behind two instructions") {
    ObjectFixture o = fixture();
    Piece& f = o.function("f", words({0x3c4c0000, 0x38420000, kMflr, kBl, kBlr}));
    f.symbol().other = kLocalEntry8;
    f.refers(0, kRel16Ha, ".TOC.").refers(4, kRel16Lo, ".TOC.", 4).refers(12, kRel24, "_mcount");
    CHECK(has_site(o));
  }
  SECTION("a function without a data pointer has one entry point") {
    ObjectFixture o = fixture();
    o.function("f", words({kMflr, kBl, kBlr})).refers(4, kRel24, "_mcount");
    CHECK(has_site(o));
  }
  SECTION("another call is no site") {
    ObjectFixture o = fixture();
    Function(o, "f", false).word(kMflr).word(kBl, kRel24, "g").end();
    CHECK_FALSE(has_site(o));
  }
  SECTION("nor is one further down") {
    ObjectFixture o = fixture();
    Function(o, "f", false).word(kLi).word(kMflr).word(kBl, kRel24, "_mcount").end();
    CHECK_FALSE(has_site(o));
  }
  SECTION("two NOPs that the table names") {
    ObjectFixture o = fixture();
    Function(o, "f", false).word(kNop).word(kNop).end();
    CHECK_FALSE(has_site(o));
    o.table("__patchable_function_entries", std::vector<std::byte>(8)).refers(0, kAddr64, "f", 8);
    CHECK(has_site(o));
  }
}

TEST_CASE("ppc64: a replaced function keeps the bytes in front of it and both entry points") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    Function(o, "kept").end();
    Function(o, "f").word(kLi + (patched ? 2 : 1)).calls("kept").calls("printk").end();
  });
  const diff::UnitResult result = u.run();
  CHECK(refusals(result) == Texts{});
  CHECK(changed(result) == Texts{"f"});
  CHECK(has_line(result, ".text.f+0x0 R_PPC64_REL64 plain .TOC. -8\n"));
  CHECK(has_line(result, " R_PPC64_REL24 klp vmlinux:vmlinux.kept,0 +0\n"));
  CHECK(has_line(result, " R_PPC64_REL24 plain printk +0\n"));
  const elf::ElfObject made = elf::ElfObject::parse("made", diff::emit(result.plan).serialize());
  CHECK(made.flags() == 2);
  const elf::Symbol& f = *made.symbols_named("f").at(0);
  CHECK((f.value == 8 && f.other == kLocalEntry8 && f.section->size == f.size + 8));
}

TEST_CASE("ppc64: an equal pair has no difference, wherever its slots lie") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    o.string("text");
    Piece& slots = toc(o, 3);
    const uint64_t first = patched ? 16 : 0, second = patched ? 0 : 16;
    slots.refers(first, kAddr64, "counter").refers_to_section(second, kAddr64, ".rodata.str1.1", 0);
    slots.section().data[8] = std::byte{42};
    o.data("counter", 8);
    Function(o, "f").loads(static_cast<int64_t>(first)).loads(static_cast<int64_t>(second)).loads(8).end();
  });
  const diff::UnitResult result = u.run();
  CHECK_FALSE(result.changed);
  CHECK(result.identity.matched == 1);
}

TEST_CASE("ppc64: what a slot holds is what the code refers to") {
  Unit u;
  SECTION("a constant") {
    u.both([](ObjectFixture& o, bool patched) {
      Piece& slots = toc(o, 2);
      slots.section().data[8] = patched ? std::byte{43} : std::byte{42};
      Function(o, "f").loads(8).end();
    });
    const diff::UnitResult result = u.run();
    CHECK(changed(result) == Texts{"f"});
    CHECK(has_line(result, "section .toc size 0x8 align 8\n"));
    const auto& sections = result.plan.sections;
    CHECK(std::any_of(sections.begin(), sections.end(),
                      [](const diff::PlanSection& s) { return s.name == ".toc" && s.data.at(0) == std::byte{43}; }));
  }
  SECTION("another variable") {
    u.both([](ObjectFixture& o, bool patched) {
      toc(o, 1).refers(0, kAddr64, patched ? "b" : "a");
      o.data("a", 8);
      o.data("b", 8);
      Function(o, "f").loads(0).end();
    });
    const diff::UnitResult result = u.run();
    CHECK(changed(result) == Texts{"f"});
    CHECK(has_line(result, "  .toc+0x0 R_PPC64_ADDR64 klp vmlinux:vmlinux.b,0 +0\n"));
    CHECK(has_line(result, " R_PPC64_TOC16_HA module .toc +0\n"));
    CHECK(has_line(result, " R_PPC64_TOC16_LO_DS module .toc +0\n"));
  }
  SECTION("a string") {
    u.both([](ObjectFixture& o, bool patched) {
      o.string("before");
      const auto at = static_cast<int64_t>(o.string(patched ? "new text" : "old text"));
      toc(o, 1).refers_to_section(0, kAddr64, ".rodata.str1.1", at);
      Function(o, "f").loads(0).end();
    });
    const diff::UnitResult result = u.run();
    CHECK(changed(result) == Texts{"f"});
    CHECK(has_line(result, "  .toc+0x0 R_PPC64_ADDR64 module .rodata.klp_str +0\n"));
  }
  SECTION("the address of a replaced function means the original, a place inside of it does not") {
    u.both([](ObjectFixture& o, bool patched) {
      Piece& slots = toc(o, 2);
      Function(o, "f").word(kLi + (patched ? 2 : 1)).loads(0).loads(8).end();
      slots.refers(0, kAddr64, "f").refers_to_section(8, kAddr64, ".text.f", 0x20);
    });
    const diff::UnitResult result = u.run();
    CHECK(refusals(result) == Texts{});
    CHECK(has_line(result, "  .toc+0x0 R_PPC64_ADDR64 klp vmlinux:vmlinux.f,0 +0\n"));
    CHECK(has_line(result, "  .toc+0x8 R_PPC64_ADDR64 module .text.f +32\n"));
  }
  SECTION("the slot itself, when it is added to instead of loaded") {
    u.both([](ObjectFixture& o, bool patched) {
      toc(o, 1).refers(0, kAddr64, patched ? "b" : "a");
      o.data("a", 8);
      o.data("b", 8);
      Piece& f = Function(o, "f").piece();
      const uint64_t at = f.section().data.size();
      f.refers_to_section(at, kToc16Ha, ".toc", 0).refers_to_section(at + 4, kToc16Lo, ".toc", 0);
      auto content = f.section().data;
      const auto more = words({kAddis, kAddi, kBlr});
      content.insert(content.end(), more.begin(), more.end());
      f.bytes(std::move(content));
      f.symbol().size -= 8;
    });
    const diff::UnitResult result = u.run();
    CHECK(changed(result) == Texts{"f"});
    CHECK(has_line(result, " R_PPC64_ADDR64 klp vmlinux:vmlinux.b,0 +0\n"));
  }
}

TEST_CASE("ppc64: a constant without a name lies in .data when it holds addresses") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    Piece& slots = toc(o, 1);
    for (const char* name : {"one", "two"}) Function(o, name).end();
    o.table(".data", std::vector<std::byte>(16), elf::kShfAlloc | elf::kShfWrite)
        .refers(0, kAddr64, "one")
        .refers(8, kAddr64, patched ? "one" : "two");
    slots.refers_to_section(0, kAddr64, ".data", 0);
    Function(o, "f").loads(0).end();
  });
  const diff::UnitResult result = u.run();
  CHECK(refusals(result) == Texts{});
  CHECK(changed(result) == Texts{"f"});
  CHECK(has_line(result, "  .data+0x8 R_PPC64_ADDR64 klp vmlinux:vmlinux.one,0 +0\n"));
}

TEST_CASE("ppc64: only the used slots are carried, one for all who share it") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    toc(o, 3).refers(0, kAddr64, "unused").refers(8, kAddr64, "shared").refers(16, kAddr64, "own");
    for (const char* name : {"unused", "shared", "own"}) o.data(name, 8);
    Function(o, "f").word(kLi + (patched ? 2 : 1)).loads(8).loads(8).end();
    Function(o, "g").word(kLi + (patched ? 2 : 1)).loads(8).loads(16).end();
    Function(o, "h").loads(0).end();
  });
  const diff::UnitResult result = u.run();
  CHECK(changed(result) == Texts{"f", "g"});
  CHECK(has_line(result, "section .toc size 0x10 align 8\n"));
  CHECK(has_line(result, "  .toc+0x0 R_PPC64_ADDR64 klp vmlinux:vmlinux.shared,0 +0\n"));
  CHECK(has_line(result, "  .toc+0x8 R_PPC64_ADDR64 klp vmlinux:vmlinux.own,0 +0\n"));
  CHECK_FALSE(has_line(result, "unused"));
}

TEST_CASE("ppc64: a call out of the module needs the NOP, a call inside does not") {
  Unit u;
  SECTION("it is there") {
    u.both([](ObjectFixture& o, bool patched) {
      Function(o, "kept").end();
      Function(o, "f").word(kLi + (patched ? 2 : 1)).calls("kept").end();
    });
    CHECK(refusals(u.run()) == Texts{});
  }
  SECTION("it is not") {
    u.both([](ObjectFixture& o, bool patched) {
      Function(o, "kept").end();
      Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kBl, kRel24, "kept").end();
    });
    CHECK(refusals(u.run()) == Texts{"unsupported-relocation: the call of kept at +0x14 has no NOP behind it, in whose "
                                     "place the module loader puts the instruction that restores r2"});
  }
  SECTION("the callee is in the module") {
    u.both([](ObjectFixture& o, bool patched) {
      Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kBl, kRel24, patched ? "fresh" : "printk").word(kNop).end();
      if (patched) Function(o, "fresh").word(kBl, kRel24, "f").end();
    });
    const diff::UnitResult result = u.run();
    CHECK(refusals(result) == Texts{});
    CHECK(has_line(result, " R_PPC64_REL24 module fresh +0\n"));
    CHECK(has_line(result, " R_PPC64_REL24 module f +0\n"));
  }
}

TEST_CASE("ppc64: a tail call out of the module is refused, one inside is not") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kB, kRel24, "printk");
    Function(o, "g").word(kLi + (patched ? 2 : 1)).word(kB, kRel24, "f");
  });
  CHECK(refusals(u.run()) ==
        Texts{"sibling-call: jumps to printk, which is outside of the livepatch, at +0x14 instead of calling it"});
}

TEST_CASE("ppc64: an address that is not loaded from a slot does not reach the kernel") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    o.data("counter", 8);
    Function(o, "f")
        .word(kLi + (patched ? 2 : 1))
        .word(kAddis, kToc16Ha, "counter")
        .word(kAddi, kToc16Lo, "counter")
        .end();
  });
  const Texts list = refusals(u.run());
  REQUIRE(list.size() == 2);
  CHECK(list[0] ==
        "unsupported-relocation: refers to counter by a relocation R_PPC64_TOC16_HA, which does not reach out of a "
        "module");
}

TEST_CASE("ppc64: what a module that comes later has is written into calls and writable data only") {
  Unit u;
  u.object = "zram";
  u.both([](ObjectFixture& o, bool patched) {
    Piece& slots = toc(o, 2);
    slots.refers(0, kAddr64, "state");
    o.data("state", 8);
    Function(o, "kept").end();
    Function f(o, "f");
    f.word(kLi + (patched ? 2 : 1)).calls("kept").loads(0);
    if (patched) {
      slots.refers(8, kAddr64, "ops");
      o.rodata("ops", 8).refers(0, kAddr64, "kept");
      f.loads(8);
    }
    f.end();
  });
  const diff::UnitResult result = u.run();
  CHECK(refusals(result) ==
        Texts{"unsupported-relocation: .rodata.ops refers to kept of a module that may come when the livepatch is "
              "write-protected"});
  CHECK(has_line(result, " R_PPC64_REL24 klp zram:zram.kept,0 +0\n"));
  CHECK(has_line(result, "  .toc+0x0 R_PPC64_ADDR64 klp zram:zram.state,0 +0\n"));
}

namespace {

/// An entry of __ftr_fixup: distances from the entry's start, so that the addends hold the fields' places.
Piece& feature_entry(ObjectFixture& o, int64_t site, int64_t site_end, int64_t alternate, int64_t alternate_end) {
  return o.table("__ftr_fixup", std::vector<std::byte>(48))
      .refers_to_section(16, kRel64, ".text.f", 16 + site)
      .refers_to_section(24, kRel64, ".text.f", 24 + site_end)
      .refers_to_section(32, kRel64, "__ftr_alt_97", 32 + alternate)
      .refers_to_section(40, kRel64, "__ftr_alt_97", 40 + alternate_end);
}

}  // namespace

TEST_CASE("ppc64: feature fixups follow their function with the code that takes the site's place") {
  Unit u;
  SECTION("with a call in it") {
    u.both([](ObjectFixture& o, bool patched) {
      Function(o, "kept").end();
      Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kNop).word(kNop).end();
      o.table("__ftr_alt_97", words({kBlr, kBl, kNop})).refers(4, kRel24, "kept");
      feature_entry(o, 0x1c, 0x24, 4, 12);
    });
    const diff::UnitResult result = u.run();
    CHECK(refusals(result) == Texts{});
    CHECK(has_line(result, "section __ftr_alt_97 size 0x8 align 8\n"));
    CHECK(has_line(result, "  __ftr_alt_97+0x0 R_PPC64_REL24 klp vmlinux:vmlinux.kept,0 +0\n"));
    CHECK(has_line(result, "  __ftr_fixup+0x10 R_PPC64_REL64 module .text.f +44\n"));  // 0x1c + 16
    CHECK(has_line(result, "  __ftr_fixup+0x18 R_PPC64_REL64 module .text.f +60\n"));  // 0x24 + 24
    CHECK(has_line(result, "  __ftr_fixup+0x20 R_PPC64_REL64 module __ftr_alt_97 +32\n"));
    CHECK(has_line(result, "  __ftr_fixup+0x28 R_PPC64_REL64 module __ftr_alt_97 +48\n"));
  }
  SECTION("with nothing in it: NOPs take the site's place") {
    u.both([](ObjectFixture& o, bool patched) {
      Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kNop).word(kNop).end();
      o.table("__ftr_alt_97", {});
      feature_entry(o, 0x1c, 0x24, 0, 0);
    });
    const diff::UnitResult result = u.run();
    CHECK(refusals(result) == Texts{});
    CHECK(has_line(result, "  __ftr_fixup+0x20 R_PPC64_REL64 module f +32\n"));
    CHECK(has_line(result, "  __ftr_fixup+0x28 R_PPC64_REL64 module f +40\n"));
  }
  SECTION("the first of its unit") {
    u.both([](ObjectFixture& o, bool patched) {
      Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kNop).word(kNop).end();
      if (!patched) return;
      o.table("__ftr_alt_97", words({kNop}));
      feature_entry(o, 0x1c, 0x24, 0, 4);
    });
    const diff::UnitResult result = u.run();
    CHECK(refusals(result) == Texts{});
    CHECK(has_line(result, "section __ftr_alt_97 size 0x4 align 8\n"));
  }
  SECTION("another site, or other code for it, is a change") {
    const bool moved = GENERATE(false, true);
    u.both([&](ObjectFixture& o, bool patched) {
      Function(o, "f").word(kLi).word(kLi).word(kLi).end();
      o.table("__ftr_alt_97", words({!moved && patched ? kB : kBlr}));
      feature_entry(o, patched && moved ? 0x1c : 0x18, 0x20, 0, 4);
    });
    CHECK(changed(u.run()) == Texts{"f"});
  }
}

TEST_CASE("ppc64: the loader finds the sites of speculation barriers under its own name") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kNop).end();
    o.table("__barrier_nospec_fixup", std::vector<std::byte>(8)).refers_to_section(0, kRel64, ".text.f", 0x1c);
  });
  const diff::UnitResult result = u.run();
  CHECK(has_line(result, "  __spec_barrier_fixup+0x0 R_PPC64_REL64 module .text.f +28\n"));
  CHECK_FALSE(has_line(result, "__barrier_nospec_fixup"));
}

TEST_CASE("ppc64: bug, exception and jump tables of both layouts follow their function") {
  Unit u;
  const bool absolute = GENERATE(false, true);  // of 5.10
  const uint32_t type = absolute ? kAddr64 : kRel32;
  if (absolute) u.sizes.structs = {{"jump_entry", 24}, {"exception_table_entry", 8}, {"bug_entry", 24}};
  u.both([&](ObjectFixture& o, bool patched) {
    o.data("key", 8);
    Function(o, "f").word(kLi + (patched ? 2 : 1)).word(kNop).word(kLi).end();
    Piece& jumps = o.table("__jump_table", std::vector<std::byte>(absolute ? 24 : 16));
    jumps.refers_to_section(0, type, ".text.f", 0x1c).refers_to_section(absolute ? 8 : 4, type, ".text.f", 0x20);
    jumps.refers(absolute ? 16 : 8, absolute ? kAddr64 : kRel64, "key");
    Piece& bugs = o.table("__bug_table", std::vector<std::byte>(absolute ? 24 : 12));
    bugs.refers_to_section(0, type, ".text.f", 0x20);
    bugs.section().data[absolute ? 16 : 8] = patched ? std::byte{9} : std::byte{7};  // a line
    Piece& exceptions = o.table("__ex_table", std::vector<std::byte>(8));
    exceptions.refers_to_section(0, kRel32, ".text.f", 0x1c).refers_to_section(4, kRel32, ".text.f", 0x20);
  });
  const diff::UnitResult result = u.run();
  CHECK(refusals(result) == Texts{});
  CHECK(result.special_entries ==
        std::map<std::string, size_t>{{"__bug_table", 1}, {"__ex_table", 1}, {"__jump_table", 1}});
  CHECK(has_line(result, absolute ? "  __jump_table+0x10 R_PPC64_ADDR64 klp vmlinux:vmlinux.key,0 +0\n"
                                  : "  __jump_table+0x8 R_PPC64_REL64 klp vmlinux:vmlinux.key,0 +0\n"));
}

TEST_CASE("ppc64: a line number set up beside a source name is no change") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    o.string("fs/x.c");
    toc(o, 1).refers_to_section(0, kAddr64, ".rodata.str1.1", 0);
    const uint32_t shift = patched ? 3 : 0;
    for (const uint32_t line : {100U, 200U})
      Function(o, line == 100 ? "f" : "g").loads(0).word(kLi + line + shift).calls("printk").end();
  });
  const diff::UnitResult result = u.run();
  CHECK_FALSE(result.changed);
  CHECK(std::any_of(result.findings.list().begin(), result.findings.list().end(),
                    [](const Finding& f) { return f.code == "line-only"; }));
}

TEST_CASE("ppc64: a call that the assembler resolved inside a shared section gets its relocation back") {
  Unit u;
  u.both([](ObjectFixture& o, bool patched) {
    // leaf, then f: neither has a data pointer, so that gas leaves no relocation for the call between them
    const auto code = words({kBlr, kMflr, kBl, kLi + (patched ? 2U : 1U), 0x4bfffff1, kNop, kBlr});
    Piece& section = o.table(".sched.text", code, elf::kShfAlloc | elf::kShfExec, 4);
    o.label("leaf", section, 0, 4, elf::kSttFunc);
    o.label("f", section, 4, code.size() - 4, elf::kSttFunc);
    section.refers(8, kRel24, "_mcount");
  });
  const diff::UnitResult result = u.run();
  CHECK(refusals(result) == Texts{});
  CHECK(has_line(result, "  .text.f+0xc R_PPC64_REL24 klp vmlinux:vmlinux.leaf,0 +0\n"));
}

}  // namespace klp::test
