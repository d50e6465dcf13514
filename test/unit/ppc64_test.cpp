// ppc64le: what the architecture answers.
#include <catch2/catch.hpp>

#include "elf/disassembler.h"
#include "ppc64_unit.h"
#include "support/error.h"

namespace klp::test::ppc64 {

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
  for (const uint32_t type : {14U, 17U, kToc16Hi, 67U, 112U}) {
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

}  // namespace klp::test::ppc64
