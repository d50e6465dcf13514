// ppc64le: what the engine makes of objects of the large code model.
#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/emit.h"
#include "ppc64_unit.h"

namespace klp::test::ppc64 {

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

}  // namespace klp::test::ppc64
