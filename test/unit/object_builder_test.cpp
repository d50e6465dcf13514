// The writer against the reader, and against the system's readelf for what our own reader might get wrong in the same
// way.
#include "elf/object_builder.h"

#include <catch2/catch.hpp>

#include "elf/klp_abi.h"
#include "elf_fixture.h"
#include "support/files.h"
#include "support/run.h"

using namespace klp;
using namespace klp::elf;
using klp::test::ObjectFixture;
using klp::test::to_bytes;

namespace {

ObjectFixture sample() {
  ObjectFixture object;
  object.file("a.c");
  object.function("helper").global();
  object.function("caller", {0xe8, 0, 0, 0, 0, 0xc3}).calls("helper", 1);
  object.data("counter", 16).bss();
  object.data("pointer", 8).refers(0, test::kR64, "counter", 8);
  object.function("says", {}).uses_string("hello").calls("_printk");
  return object;
}

}  // namespace

TEST_CASE("what is built is read back", "[object_builder]") {
  const ElfObject elf = sample().result();
  REQUIRE(elf.type() == 1);
  REQUIRE(elf.machine() == 62);
  const Section* text = elf.maybe_section(".text.caller");
  REQUIRE(text != nullptr);
  CHECK(text->is_exec());
  CHECK(text->addralign == 16);
  CHECK(std::vector(text->data.begin(), text->data.end()) == to_bytes({0xe8, 0, 0, 0, 0, 0xc3}));
  REQUIRE(text->relocations.size() == 1);
  CHECK(text->relocations[0].symbol->name == "helper");
  CHECK(text->relocations[0].addend == -4);
  CHECK(text->relocations[0].type == test::kRPlt32);

  const Section* bss = elf.maybe_section(".bss.counter");
  REQUIRE(bss != nullptr);
  CHECK(bss->type == kShtNobits);
  CHECK(bss->size == 16);
  CHECK(bss->data.empty());

  const Section* says = elf.maybe_section(".text.says");
  REQUIRE(says->relocations.size() == 2);
  CHECK(says->relocations[0].symbol->is_section());
  CHECK(says->relocations[0].symbol->name == ".rodata.str1.1");
  CHECK(says->relocations[1].symbol->is_undefined());
}

TEST_CASE("locals come before globals, and keep their order", "[object_builder]") {
  const ElfObject elf = sample().result();
  bool seen_global = false;
  std::vector<std::string> locals;
  for (const Symbol& symbol : elf.symbols()) {
    if (symbol.index == 0) continue;
    if (!symbol.is_local())
      seen_global = true;
    else
      CHECK_FALSE(seen_global);
    if (symbol.is_local() && (symbol.is_function() || symbol.is_object())) locals.emplace_back(symbol.name);
  }
  CHECK(locals == std::vector<std::string>{"caller", "counter", "pointer", "says"});
  CHECK(elf.symbols_named("caller")[0]->file == "a.c");
}

TEST_CASE("the same input gives the same bytes", "[object_builder]") {
  CHECK(sample().builder().serialize() == sample().builder().serialize());
}

TEST_CASE("a copy of a copy is the same file", "[object_builder]") {
  const ElfObject elf = sample().result();
  const std::vector<std::byte> once = ObjectBuilder::copy_of(elf).serialize();
  const std::vector<std::byte> twice = ObjectBuilder::copy_of(ElfObject::parse("once", once)).serialize();
  CHECK(once == twice);
  const ElfObject copy = ElfObject::parse("copy", once);
  REQUIRE(copy.symbols().size() == elf.symbols().size());
  for (size_t i = 0; i < elf.symbols().size(); ++i) {
    CHECK(copy.symbols()[i].name == elf.symbols()[i].name);
    CHECK(copy.symbols()[i].value == elf.symbols()[i].value);
  }
}

TEST_CASE("a livepatch symbol keeps its reserved section index", "[object_builder]") {
  ObjectFixture object;
  object.function("f", {0xe8, 0, 0, 0, 0});
  BuilderSymbol symbol;
  symbol.name = ".klp.sym.vmlinux.g,0";
  symbol.bind = kStbWeak;
  symbol.place = SymbolPlace::livepatch;
  BuilderSymbol& klp = object.builder().add_symbol(symbol);
  BuilderRelaSection rela{
      klp_rela_name("vmlinux", ".text.f"), kShfAlloc | kShfRelaLivepatch, {{1, test::kRPlt32, &klp, -4}}};
  object.section(".text.f").relas.push_back(rela);
  const ElfObject elf = object.result();
  REQUIRE(elf.maybe_section(".klp.rela.vmlinux..text.f") != nullptr);
  CHECK(elf.maybe_section(".klp.rela.vmlinux..text.f")->flags == (kShfAlloc | kShfInfoLink | kShfRelaLivepatch));
  REQUIRE(elf.maybe_section(".text.f")->relocations.size() == 1);
  CHECK(elf.maybe_section(".text.f")->relocations[0].symbol->place == SymbolPlace::livepatch);
  const ElfObject copy = ElfObject::parse("copy", ObjectBuilder::copy_of(elf).serialize());
  CHECK(copy.maybe_section(".klp.rela.vmlinux..text.f")->flags == (kShfAlloc | kShfInfoLink | kShfRelaLivepatch));
}

TEST_CASE("an ordinary list is never the livepatch one", "[object_builder]") {
  ObjectFixture object;
  object.function("f", {0, 0, 0, 0});
  BuilderSection& text = object.section(".text.f");
  text.relas.push_back({".klp.rela.vmlinux..text.f", kShfAlloc | kShfRelaLivepatch, {}});
  object.builder().relocations(text).push_back({0, test::kRPc32, &object.undefined("x"), 0});
  REQUIRE(text.relas.size() == 2);
  CHECK(text.relas.back().name == ".rela.text.f");
  CHECK(text.relas.front().relocations.empty());
}

TEST_CASE("section groups and link order survive a copy", "[object_builder]") {
  ObjectFixture object;
  test::Piece& inlined = object.function("inlined", {0xe8, 0, 0, 0, 0}).weak().calls("other", 1);
  inlined.section().flags |= 0x200;
  inlined.section().relas.front().flags |= 0x200;
  BuilderSection group;
  group.name = ".group";
  group.type = kShtGroup;
  group.entsize = 4;
  group.addralign = 4;
  group.data = to_bytes({1, 0, 0, 0});
  group.group_signature = &object.symbol("inlined");
  group.group_members = {&inlined.section()};
  object.builder().add_section(group);
  BuilderSection& sites = object.table("__patchable_function_entries", std::vector<std::byte>(8), 0x83).section();
  sites.link_order = &inlined.section();

  const ElfObject elf = object.result();
  const ElfObject copy = ElfObject::parse("copy", ObjectBuilder::copy_of(elf).serialize());
  const Section* text = copy.maybe_section(".text.inlined");
  const Section* read = copy.maybe_section(".group");
  REQUIRE(read != nullptr);
  REQUIRE(read->data.size() == 12);  // flag word, the section, its relocations
  CHECK(static_cast<uint32_t>(read->data[4]) == text->index);
  CHECK(static_cast<uint32_t>(read->data[8]) == copy.maybe_section(".rela.text.inlined")->index);
  CHECK(copy.symbols()[read->info].name == "inlined");
  CHECK(copy.maybe_section("__patchable_function_entries")->link == text->index);
}

TEST_CASE("removing a section takes its symbols and relocations", "[object_builder]") {
  ObjectFixture object = sample();
  object.builder().remove_sections({&object.section(".text.caller")});
  const ElfObject elf = object.result();
  CHECK(elf.maybe_section(".text.caller") == nullptr);
  CHECK(elf.maybe_section(".rela.text.caller") == nullptr);
  CHECK(elf.symbols_named("caller").empty());
}

TEST_CASE("what cannot be written is an error that names the place", "[object_builder]") {
  ObjectFixture object;
  object.function("f", {0, 0, 0, 0});
  BuilderSection& text = object.section(".text.f");

  SECTION("relocation behind the end") {
    object.builder().relocations(text).push_back({4, test::kRPc32, &object.undefined("x"), 0});
    CHECK_THROWS_WITH(object.result(),
                      Catch::Contains(".rela.text.f") && Catch::Contains("entry 0") && Catch::Contains("0x4"));
  }
  SECTION("symbol of another object") {
    ObjectFixture other;
    object.builder().relocations(text).push_back({0, test::kRPc32, &other.undefined("x"), 0});
    CHECK_THROWS_WITH(object.result(), Catch::Contains("not in this object"));
  }
  SECTION("symbol in a removed section, still referred to") {
    object.function("g").refers(0, test::kRPc32, "f");
    object.builder().remove_sections({&text});
    CHECK_THROWS_WITH(object.result(), Catch::Contains(".text.g") && Catch::Contains("not in this object"));
  }
  SECTION("alignment") {
    text.addralign = 3;
    CHECK_THROWS_WITH(object.result(), Catch::Contains("power of two"));
  }
  SECTION("too many sections") {
    for (int i = 0; i < 0xff00; ++i) object.builder().add_section({});
    CHECK_THROWS_WITH(object.result(), Catch::Contains("fewer than"));
  }
}

TEST_CASE("readelf has nothing to say against the file", "[object_builder]") {
  if (!find_program("readelf")) return;
  TempDir directory(fs::temp_directory_path(), "klp-builder-test");
  sample().builder().write(directory.path() / "a.o");
  RunOptions options;
  options.merge_output = false;
  const RunResult result = run({"readelf", "-aW", (directory.path() / "a.o").string()}, options);
  CHECK(result.status == 0);
  CHECK(result.error_output.empty());
  CHECK(result.output.find("R_X86_64_PLT32") != std::string::npos);
}
