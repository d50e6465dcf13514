// Klp references through the last step, on modules as kbuild would link them.
#include "elf/klp_finalize.h"

#include <catch2/catch.hpp>

#include "elf/klp_abi.h"
#include "elf_fixture.h"
#include "support/files.h"

using namespace klp;
using namespace klp::elf;
using klp::test::ObjectFixture;

namespace {

struct LinkedModule {
  ObjectFixture object;

  LinkedModule() { object.module({"license=GPL", "livepatch=Y", "name=fix"}); }

  std::string travel(const std::string& patched, const std::string& owner, const std::string& symbol,
                     uint64_t sympos = 0) {
    const std::string name = travel_name({patched, owner, symbol, sympos});
    for (const BuilderSymbol& known : object.builder().symbols()) {
      if (known.name == name) return name;
    }
    object.undefined(name, true);
    return name;
  }
  ElfObject result() { return ElfObject::parse("fix.ko", finalized(object.result("fix.ko")).serialize()); }
};

std::vector<const Symbol*> klp_symbols(const ElfObject& elf) {
  std::vector<const Symbol*> found;
  for (const Symbol& symbol : elf.symbols()) {
    if (symbol.place == SymbolPlace::livepatch) found.push_back(&symbol);
  }
  return found;
}

}  // namespace

TEST_CASE("klp references move to sections of their object, the others stay", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(32))
      .calls(module.travel("ext4", "ext4", "ext4_get", 2), 1)
      .calls(module.travel("ext4", "vmlinux", "hidden"), 6)
      .calls("_printk", 11);
  const ElfObject elf = module.result();

  const Section* text = elf.maybe_section(".text.f");
  const Section* of_module = elf.maybe_section(".klp.rela.ext4..text.f");
  const Section* of_vmlinux = elf.maybe_section(".klp.rela.vmlinux..text.f");
  REQUIRE(of_module != nullptr);
  REQUIRE(of_vmlinux != nullptr);
  for (const Section* section : {of_module, of_vmlinux}) {
    CHECK(section->type == kShtRela);
    CHECK(section->flags == (kShfAlloc | kShfInfoLink | kShfRelaLivepatch));
    CHECK(section->info == text->index);
    CHECK(section->entsize == 24);
    CHECK(section->addralign == 8);
    CHECK(section->size == 24);
    CHECK(elf.sections()[section->link].type == kShtSymtab);
  }
  CHECK(elf.maybe_section(".rela.text.f")->size == 24);
  REQUIRE(text->relocations.size() == 3);
  CHECK(text->relocations[0].symbol->name == ".klp.sym.ext4.ext4_get,2");
  CHECK(text->relocations[0].symbol->place == SymbolPlace::livepatch);
  CHECK(text->relocations[0].addend == -4);
  CHECK(text->relocations[1].symbol->name == ".klp.sym.vmlinux.hidden,0");
  CHECK(text->relocations[2].symbol->name == "_printk");
  CHECK(text->relocations[2].symbol->is_undefined());
}

TEST_CASE("a section left without ordinary relocations has no empty list", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(8)).calls(module.travel("vmlinux", "vmlinux", "g"), 1);
  CHECK(module.result().maybe_section(".rela.text.f") == nullptr);
}

TEST_CASE("the same final name from two patched objects is one symbol", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(16)).calls(module.travel("a", "vmlinux", "g"), 1);
  module.object.function("h", std::vector<std::byte>(16)).calls(module.travel("b", "vmlinux", "g"), 1);
  const ElfObject elf = module.result();
  REQUIRE(klp_symbols(elf).size() == 1);
  CHECK(elf.maybe_section(".text.f")->relocations[0].symbol == elf.maybe_section(".text.h")->relocations[0].symbol);
}

TEST_CASE("another sympos is another symbol", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(16))
      .calls(module.travel("vmlinux", "vmlinux", "g", 1), 1)
      .calls(module.travel("vmlinux", "vmlinux", "g", 2), 6);
  CHECK(klp_symbols(module.result()).size() == 2);
}

TEST_CASE("debug sections go, other unallocated ones stay", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(8)).calls(module.travel("vmlinux", "vmlinux", "g"), 1);
  module.object.table(".debug_info", std::vector<std::byte>(8), 0, 1).refers(0, test::kR64, "f");
  module.object.table(".comment", test::to_bytes("gcc"), 0, 1);
  module.object.table(".note.other", std::vector<std::byte>(8), 0, 1).refers(0, test::kR64, "f");
  const ElfObject elf = module.result();
  CHECK(elf.maybe_section(".debug_info") == nullptr);
  CHECK(elf.maybe_section(".rela.debug_info") == nullptr);
  CHECK(elf.maybe_section(".comment") != nullptr);
  CHECK(elf.maybe_section(".rela.note.other") != nullptr);
}

TEST_CASE("a function that objtool had to see by its name is a klp reference like any other", "[klp_finalize]") {
  LinkedModule module;
  module.object.undefined("do_exit", true);
  module.object.undefined("other", true);
  module.object.function("f", std::vector<std::byte>(24)).calls("do_exit", 1).calls("other", 6);
  module.travel("vmlinux", "vmlinux", "do_exit");
  const ElfObject elf = module.result();
  REQUIRE(klp_symbols(elf).size() == 1);
  CHECK(klp_symbols(elf)[0]->name == ".klp.sym.vmlinux.do_exit,0");
  for (const Symbol& symbol : elf.symbols()) CHECK(symbol.name != "do_exit");
  const Section* moved = elf.maybe_section(".klp.rela.vmlinux..text.f");
  REQUIRE(moved != nullptr);
  CHECK(moved->size == 24);  // without the weak reference to the other
}

TEST_CASE("calls whose target comes with the patched module are no call sites", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(24))
      .calls(module.travel("ext4", "ext4", "g"), 1)
      .calls(module.travel("ext4", "vmlinux", "h"), 6)
      .calls(module.travel("ext4", "ext4", "i"), 11);
  module.object.table(".call_sites", std::vector<std::byte>(12), kShfAlloc, 1)
      .refers(0, test::kRPc32, "f", 0)
      .refers(4, test::kRPc32, "f", 5)
      .refers(8, test::kRPc32, "f", 10);
  const ElfObject elf = module.result();
  const Section* table = elf.maybe_section(".call_sites");
  REQUIRE(table != nullptr);
  CHECK(table->size == 4);
  REQUIRE(table->relocations.size() == 1);
  CHECK(table->relocations[0].offset == 0);
  CHECK(table->relocations[0].addend == 5);
}

TEST_CASE("no function of a livepatch loses its ENDBR", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(8)).calls(module.travel("vmlinux", "vmlinux", "g"), 1);
  module.object.table(".ibt_endbr_seal", std::vector<std::byte>(4)).refers(0, test::kRPc32, "f");
  const ElfObject elf = module.result();
  CHECK(elf.maybe_section(".ibt_endbr_seal") == nullptr);
  CHECK(elf.maybe_section(".rela.ibt_endbr_seal") == nullptr);
}

TEST_CASE("an unused travel symbol does not stay undefined", "[klp_finalize]") {
  LinkedModule module;
  module.travel("vmlinux", "vmlinux", "unused");
  const ElfObject elf = module.result();
  for (const Symbol& symbol : elf.symbols()) CHECK_FALSE(symbol.name.starts_with(".klp.ref."));
}

TEST_CASE("finalizing is deterministic and leaves a finished module as it is", "[klp_finalize]") {
  LinkedModule module;
  module.object.function("f", std::vector<std::byte>(16))
      .calls(module.travel("zz", "zz", "g"), 1)
      .calls(module.travel("aa", "aa", "g"), 6);
  const auto once = finalized(module.object.result()).serialize();
  CHECK(once == finalized(module.object.result()).serialize());
  CHECK(once == finalized(ElfObject::parse("once", once)).serialize());
}

TEST_CASE("what the kernel would refuse is refused here", "[klp_finalize]") {
  LinkedModule module;
  SECTION("nonzero bytes at a klp site") {
    module.object.function("f", {0xe8, 1, 0, 0, 0}).calls(module.travel("vmlinux", "vmlinux", "g"), 1);
    CHECK_THROWS_WITH(module.result(), Catch::Contains("fix.ko") && Catch::Contains(".text.f") &&
                                           Catch::Contains("0x1") && Catch::Contains("zero bytes"));
  }
  SECTION("nonzero bytes at an ordinary site") {
    module.object.function("f", {0xe8, 0, 0, 0, 9}).calls("_printk", 1);
    CHECK_THROWS_WITH(module.result(), Catch::Contains("_printk") && Catch::Contains("zero bytes"));
  }
  SECTION("two relocations at one site") {
    module.object.function("f", std::vector<std::byte>(8))
        .calls("_printk", 1)
        .calls(module.travel("vmlinux", "vmlinux", "g"), 1);
    CHECK_THROWS_WITH(module.result(), Catch::Contains("two relocations"));
  }
  SECTION("overlapping sites") {
    module.object.function("f", std::vector<std::byte>(16))
        .calls("_printk", 1)
        .calls(module.travel("vmlinux", "vmlinux", "g"), 3);
    CHECK_THROWS_WITH(module.result(), Catch::Contains("overlaps"));
  }
  SECTION("a site over the section's end") {
    module.object.function("f", std::vector<std::byte>(8)).calls(module.travel("vmlinux", "vmlinux", "g"), 6);
    CHECK_THROWS_WITH(module.result(), Catch::Contains("over the section's end"));
  }
  SECTION("a type that the loader does not know") {
    module.object.function("f", std::vector<std::byte>(8)).refers(1, 9, module.travel("vmlinux", "vmlinux", "g"));
    CHECK_THROWS_WITH(module.result(), Catch::Contains("type 9"));
  }
  SECTION("a module's symbol from freed memory") {
    module.object.table(".init.text", std::vector<std::byte>(8), 6).calls(module.travel("ext4", "ext4", "g"), 1);
    CHECK_THROWS_WITH(module.result(), Catch::Contains(".init.text") && Catch::Contains("freed"));
  }
  SECTION("an unloaded section") {
    module.object.table(".note.x", std::vector<std::byte>(8), 0)
        .refers(0, test::kR64, module.travel("vmlinux", "vmlinux", "g"));
    CHECK_THROWS_WITH(module.result(), Catch::Contains("not loaded"));
  }
  SECTION("a malformed travel name") {
    module.object.function("f", std::vector<std::byte>(8)).calls(".klp.ref.vmlinux.g", 1);
    CHECK_THROWS_WITH(module.result(), Catch::Contains(".klp.ref.vmlinux.g"));
  }
  SECTION("a name that is too long") {
    module.object.function("f", std::vector<std::byte>(8))
        .calls(module.travel("vmlinux", "vmlinux", std::string(512, 'g')), 1);
    CHECK_THROWS_WITH(module.result(), Catch::Contains(".klp.ref.vmlinux"));
  }
  SECTION("a travel name among the imports") {
    module.object.table("__versions", test::to_bytes("12345678.klp.ref.vmlinux.vmlinux.g,0"), 2);
    CHECK_THROWS_WITH(module.result(), Catch::Contains("__versions"));
  }
}

TEST_CASE("a module that is no livepatch is refused", "[klp_finalize]") {
  ObjectFixture object;
  object.module({"license=GPL", "description=not livepatch=Y"});
  CHECK_THROWS_WITH(finalized(object.result("plain.ko")), Catch::Contains("not a livepatch"));
}

TEST_CASE("nothing is written when a check fails", "[klp_finalize]") {
  TempDir directory(fs::temp_directory_path(), "klp-finalize-test");
  LinkedModule module;
  module.object.function("f", {0xe8, 1, 0, 0, 0}).calls("_printk", 1);
  const fs::path in = directory.path() / "in.ko", out = directory.path() / "out.ko";
  module.object.builder().write(in);
  CHECK_THROWS_AS(finalize_klp(in, out), Error);
  CHECK_FALSE(fs::exists(out));
  module.object.section(".text.f").data[1] = std::byte{0};
  module.object.builder().write(in);
  finalize_klp(in, out);
  CHECK(ElfObject::read(out).maybe_section(".text.f") != nullptr);
}
