// ppc64le: the kernel's tables follow their functions.
#include <catch2/catch.hpp>

#include "ppc64_unit.h"

namespace klp::test::ppc64 {

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

}  // namespace klp::test::ppc64
