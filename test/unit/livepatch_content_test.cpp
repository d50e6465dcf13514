// Livepatch modules of each maker, as their tools lay them out.
#include "elf/livepatch_content.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "elf/klp_abi.h"
#include "elf/relocation_name.h"
#include "elf_fixture.h"
#include "report/livepatch_report.h"
#include "support/files.h"

using namespace klp;
using namespace klp::elf;
using klp::test::ObjectFixture;

namespace {

constexpr uint64_t kDataFlags = kShfAlloc | kShfWrite;

void livepatch(ObjectFixture& object) {
  object.module({"license=GPL", "livepatch=Y", "name=livepatch_fix",
                 "vermagic=6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions "});
}

void put_word(BuilderSection& section, uint64_t offset, uint64_t value) {
  std::memcpy(section.data.data() + offset, &value, 8);
}

/// A pointer to a string at `offset`.
void put_string(ObjectFixture& object, test::Piece& piece, uint64_t offset, std::string_view text) {
  const auto at = static_cast<int64_t>(object.string(text));
  piece.refers_to_section(offset, test::kR64, ".rodata.str1.1", at);
}

BuilderSymbol& klp_symbol(ObjectFixture& object, std::string_view name) {
  BuilderSymbol symbol;
  symbol.name = name;
  symbol.bind = kStbWeak;
  symbol.place = SymbolPlace::livepatch;
  return object.builder().add_symbol(symbol);
}

/// The arrays of a hand-written livepatch for `objects` of (name, functions), with these element sizes.
void by_hand(ObjectFixture& object, uint64_t func_size, uint64_t object_size) {
  object.function("new_a");
  object.function("new_b");
  object.function("pre_patch");
  test::Piece& funcs_a = object.data("funcs_a", func_size * 2);
  put_string(object, funcs_a, 0, "old_a");
  funcs_a.refers(8, test::kR64, "new_a");
  test::Piece& funcs_b = object.data("funcs_b", func_size * 3);
  for (const uint64_t at : {uint64_t{0}, func_size}) {
    put_string(object, funcs_b, at, at == 0 ? "old_b" : "old_c");
    funcs_b.refers(at + 8, test::kR64, "new_b");
  }
  put_word(funcs_b.section(), func_size + 16, 3);
  test::Piece& objs = object.data("objs", object_size * 3);
  objs.refers(8, test::kR64, "funcs_a");
  put_string(object, objs, object_size, "ext4");
  objs.refers(object_size + 8, test::kR64, "funcs_b").refers(object_size + 16, test::kR64, "pre_patch");
  object.data("patch", 200).refers(0, test::kR64, "__this_module").refers(8, test::kR64, "objs");
}

}  // namespace

TEST_CASE("klp-diff's own table", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.function("meminfo_proc_show", std::vector<std::byte>(64));
  object.function("ext4_fix", std::vector<std::byte>(16));
  test::Piece& table = object.table(".klp_diff.funcs", std::vector<std::byte>(64), kDataFlags);
  put_string(object, table, 8, "meminfo_proc_show");
  table.refers(16, test::kR64, "meminfo_proc_show");
  put_string(object, table, 32, "ext4");
  put_string(object, table, 40, "ext4_get");
  table.refers(48, test::kR64, "ext4_fix");
  put_word(table.section(), 56, 2);

  const LivepatchContent content = livepatch_content(object.result());
  CHECK(content.name == "livepatch_fix");
  CHECK(content.vermagic == "6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions ");
  CHECK(content.maker == LivepatchMaker::klp_diff);
  REQUIRE(content.functions_known);
  REQUIRE(content.replaced.size() == 2);
  CHECK(content.replaced[0].object == "vmlinux");
  CHECK(content.replaced[0].name == "meminfo_proc_show");
  CHECK(content.replaced[0].new_size == 64);
  CHECK(content.replaced[1].object == "ext4");
  CHECK(content.replaced[1].new_function == "ext4_fix");
  CHECK(content.replaced[1].sympos == 2);
  REQUIRE(content.functions.size() == 2);
  CHECK(content.functions[1].replaces == "ext4_get");
}

TEST_CASE("kpatch's table", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.function("f", std::vector<std::byte>(20));
  test::Piece& table = object.table(".kpatch.funcs", std::vector<std::byte>(56), kDataFlags);
  table.refers(0, test::kR64, "f");
  put_word(table.section(), 32, 4);
  put_string(object, table, 40, "f");
  put_string(object, table, 48, "vmlinux");
  const LivepatchContent content = livepatch_content(object.result());
  CHECK(content.maker == LivepatchMaker::kpatch);
  REQUIRE(content.replaced.size() == 1);
  CHECK(content.replaced[0].object == "vmlinux");
  CHECK(content.replaced[0].sympos == 4);
}

TEST_CASE("klp-build's tables", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.function("f");
  test::Piece& funcs = object.table(".init.klp_funcs", std::vector<std::byte>(48), kDataFlags);
  for (const uint64_t at : {uint64_t{0}, uint64_t{24}}) {
    put_string(object, funcs, at, at == 0 ? "one" : "two");
    funcs.refers(at + 8, test::kR64, "f");
  }
  test::Piece& objects = object.table(".init.klp_objects", std::vector<std::byte>(128), kDataFlags);
  objects.refers_to_section(8, test::kR64, ".init.klp_funcs", 0);
  put_word(objects.section(), 56, 1);
  put_string(object, objects, 64, "ext4");
  objects.refers_to_section(72, test::kR64, ".init.klp_funcs", 24);
  put_word(objects.section(), 120, 1);
  const LivepatchContent content = livepatch_content(object.result());
  CHECK(content.maker == LivepatchMaker::klp_build);
  REQUIRE(content.replaced.size() == 2);
  CHECK(content.replaced[0].object == "vmlinux");
  CHECK(content.replaced[1].object == "ext4");
  CHECK(content.replaced[1].name == "two");
}

TEST_CASE("callbacks in the layouts of the generators", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.function("set_up");
  object.function("tear_down");
  SECTION("klp-diff") {
    test::Piece& table = object.table(".klp_diff.callbacks", std::vector<std::byte>(48), kDataFlags);
    table.refers(8, test::kR64, "set_up");
    put_string(object, table, 24, "ext4");
    table.refers(32, test::kR64, "tear_down");
    put_word(table.section(), 40, 3);
  }
  SECTION("kpatch") {
    test::Piece& first = object.table(".kpatch.callbacks.pre_patch", std::vector<std::byte>(24), kDataFlags);
    first.refers(8, test::kR64, "set_up");
    test::Piece& second = object.table(".kpatch.callbacks.post_unpatch", std::vector<std::byte>(16), kDataFlags);
    second.refers(0, test::kR64, "tear_down");
    put_string(object, second, 8, "ext4");
  }
  SECTION("klp-build") {
    test::Piece& objects = object.table(".init.klp_objects", std::vector<std::byte>(128), kDataFlags);
    objects.refers(16, test::kR64, "set_up");
    put_string(object, objects, 64, "ext4");
    objects.refers(64 + 40, test::kR64, "tear_down");
  }
  const LivepatchContent content = livepatch_content(object.result());
  CHECK(content.faults.empty());
  REQUIRE(content.callbacks.size() == 2);
  CHECK(content.callbacks[0].object == "vmlinux");
  CHECK(content.callbacks[0].kind == "pre_patch");
  CHECK(content.callbacks[0].function == "set_up");
  CHECK(content.callbacks[1].object == "ext4");
  CHECK(content.callbacks[1].kind == "post_unpatch");
  CHECK(content.callbacks[1].function == "tear_down");
}

TEST_CASE("callbacks that lead nowhere are faults, states are listed", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.function("set_up");
  test::Piece& table = object.table(".klp_diff.callbacks", std::vector<std::byte>(48), kDataFlags);
  table.refers(32, test::kR64, "set_up");
  put_word(table.section(), 40, 9);
  put_word(object.table(".klp_diff.states", std::vector<std::byte>(16), kDataFlags).section(), 8, 5);
  const LivepatchContent content = livepatch_content(object.result());
  CHECK(content.faults.size() == 2);
  CHECK(content.callbacks.empty());
  REQUIRE(content.states.size() == 1);
  CHECK(content.states[0].version == 5);
}

TEST_CASE("static arrays written by hand, whatever the config makes of their size", "[livepatch_content]") {
  for (const uint64_t extra : {0, 48}) {
    ObjectFixture object;
    livepatch(object);
    by_hand(object, 152 + extra, 168 + extra);
    const LivepatchContent content = livepatch_content(object.result());
    INFO(extra);
    CHECK(content.maker == LivepatchMaker::by_hand);
    REQUIRE(content.replaced.size() == 3);
    CHECK(content.replaced[0].object == "vmlinux");
    CHECK(content.replaced[0].name == "old_a");
    CHECK(content.replaced[2].object == "ext4");
    CHECK(content.replaced[2].name == "old_c");
    CHECK(content.replaced[2].sympos == 3);
  }
}

TEST_CASE("what cannot be told for certain is not known", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  SECTION("no table at all") {
    object.function("f");
  }
  SECTION("an array that is one pointer off") {
    by_hand(object, 152, 168);
    object.section(".data.funcs_b").relas.front().relocations.back().offset += 8;
  }
  SECTION("a string outside its section") {
    object.function("f");
    object.string("x");
    object.table(".klp_diff.funcs", std::vector<std::byte>(32), kDataFlags)
        .refers_to_section(8, test::kR64, ".rodata.str1.1", 400)
        .refers(16, test::kR64, "f");
  }
  SECTION("half an entry") {
    object.table(".klp_diff.funcs", std::vector<std::byte>(48), kDataFlags);
  }
  const LivepatchContent content = livepatch_content(object.result());
  CHECK_FALSE(content.functions_known);
  CHECK(content.replaced.empty());
}

TEST_CASE("klp relocations with place, symbol and number", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  test::Piece& f = object.function("f", std::vector<std::byte>(32));
  BuilderRelaSection rela{klp_rela_name("ext4", ".text.f"), kShfAlloc | kShfRelaLivepatch, {}};
  rela.relocations.push_back({5, test::kRPlt32, &klp_symbol(object, ".klp.sym.ext4.get.part.0,3"), -4});
  f.section().relas.push_back(rela);
  const LivepatchContent content = livepatch_content(object.result());
  REQUIRE(content.klp_sections.size() == 1);
  CHECK(content.klp_sections[0].object == "ext4");
  REQUIRE(content.klp_relocation_count() == 1);
  const KlpSite& site = content.klp_sections[0].sites[0];
  CHECK(site.section == ".text.f");
  CHECK(site.inside == "f");
  CHECK(site.inside_offset == 5);
  CHECK(site.type == "R_X86_64_PLT32");
  CHECK(site.symbol_object == "ext4");
  CHECK(site.symbol == "get.part.0");
  CHECK(site.sympos == 3);
  CHECK(site.addend == -4);
  CHECK(content.faults.empty());
}

TEST_CASE("faults are named", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  test::Piece& f = object.function("f", std::vector<std::byte>(32));
  BuilderRelaSection rela{klp_rela_name("ext4", ".text.f"), kShfAlloc | kShfRelaLivepatch, {}};
  std::string expected;
  SECTION("not SHN_LIVEPATCH") {
    rela.relocations.push_back({5, test::kRPlt32, &object.undefined(".klp.sym.ext4.g,0"), -4});
    expected = "not marked SHN_LIVEPATCH";
  }
  SECTION("name without number") {
    rela.relocations.push_back({5, test::kRPlt32, &klp_symbol(object, ".klp.sym.ext4.g"), -4});
    expected = "no name that the livepatch core can resolve";
  }
  SECTION("symbol of vmlinux in a module's section") {
    rela.relocations.push_back({5, test::kRPlt32, &klp_symbol(object, ".klp.sym.vmlinux.g,0"), -4});
    expected = "a symbol of vmlinux in a module's section";
  }
  SECTION("not allocated") {
    rela.flags = kShfRelaLivepatch;
    expected = "SHF_ALLOC";
  }
  SECTION("flag missing") {
    rela.flags = kShfAlloc;
    expected = "SHF_RELA_LIVEPATCH";
  }
  SECTION("unconverted") {
    object.undefined(".klp.ref.vmlinux.vmlinux.g,0", true);
    expected = "left unconverted";
  }
  f.section().relas.push_back(rela);
  const LivepatchContent content = livepatch_content(object.result());
  REQUIRE(content.faults.size() == 1);
  CHECK_THAT(content.faults[0], Catch::Contains(expected));
}

TEST_CASE("imports, with the CRC that the module was linked against", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.undefined("_printk");
  object.undefined("optional", true);
  std::vector<std::byte> versions(64);
  const uint64_t crc = 0x12345678;
  std::memcpy(versions.data(), &crc, 8);
  std::memcpy(versions.data() + 8, "_printk", 7);
  object.table("__versions", versions);
  const LivepatchContent content = livepatch_content(object.result());
  REQUIRE(content.imports.size() == 2);
  CHECK(content.imports[0].name == "_printk");
  CHECK(content.imports[0].crc == 0x12345678u);
  CHECK_FALSE(content.imports[0].weak);
  CHECK(content.imports[1].weak);
  CHECK_FALSE(content.imports[1].crc);
}

TEST_CASE("entries of kernel tables are counted in the layout that fits", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.function("f", std::vector<std::byte>(64));
  object.table("__jump_table", std::vector<std::byte>(48), kDataFlags);
  test::Piece& old_alternatives =
      object.table(".altinstructions", std::vector<std::byte>(84), kShfAlloc);  // 7 x 12 or 6 x 14
  for (uint64_t at = 0; at < 84; at += 14)
    old_alternatives.refers(at, test::kRPc32, "f").refers(at + 4, test::kRPc32, "f");
  object.table("__bug_table", std::vector<std::byte>(30), kDataFlags);
  object.table(".parainstructions", std::vector<std::byte>(26));
  const LivepatchContent content = livepatch_content(object.result());
  REQUIRE(content.tables.size() == 4);
  CHECK(content.tables[0].name == "__jump_table");
  CHECK(content.tables[0].entries == 3);
  CHECK(content.tables[1].entries == 6);
  CHECK(content.tables[2].entries == 0);
  CHECK(content.tables[3].entries == 2);
}

TEST_CASE("data is listed, tables and module bookkeeping are not", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  object.data("counter", 16).bss();
  object.rodata("names", 24);
  object.label("__UNIQUE_ID_license", object.table(".init.data", std::vector<std::byte>(8)), 0, 8, kSttObject);
  const LivepatchContent content = livepatch_content(object.result());
  REQUIRE(content.data.size() == 2);
  CHECK(content.data[0].name == "counter");
  CHECK_FALSE(content.data[0].read_only);
  CHECK(content.data[1].read_only);
}

TEST_CASE("other files are errors that say what they are", "[livepatch_content]") {
  TempDir directory(fs::temp_directory_path(), "klp-content-test");
  const fs::path path = directory.path() / "x.ko";
  const auto message = [&] {
    try {
      read_livepatch(path);
    } catch (const Error& error) {
      CHECK(error.status() == ExitStatus::failed);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  ObjectFixture plain;
  plain.module({"license=GPL", "name=plain"});
  plain.builder().write(path);
  CHECK_THAT(message(), Catch::Contains("x.ko") && Catch::Contains("plain is not a livepatch"));

  ObjectFixture object;
  object.function("f");
  object.builder().write(path);
  CHECK_THAT(message(), Catch::Contains("not a kernel module"));

  ObjectFixture good;
  livepatch(good);
  const std::vector<std::byte> whole = good.builder().serialize();
  const std::string text(reinterpret_cast<const char*>(whole.data()), whole.size());
  write_file_atomically(path, text);
  CHECK(read_livepatch(path).name == "livepatch_fix");
  write_file_atomically(path, "");
  CHECK_THAT(message(), Catch::Contains("empty"));
  CHECK_THROWS_WITH(read_livepatch("/proc/self/exe"), Catch::Contains("not a kernel module"));
  write_file_atomically(path, "#!/bin/sh\n");
  CHECK_THAT(message(), Catch::Contains("not an ELF file"));
  for (size_t size = 64; size < text.size(); size += 37) {
    write_file_atomically(path, text.substr(0, size));
    INFO(size);
    CHECK_THAT(message(), Catch::Contains("truncated"));
  }
}

TEST_CASE("names of relocation types", "[relocation_name]") {
  CHECK(relocation_name(62, 2) == "R_X86_64_PC32");
  CHECK(relocation_name(21, 10) == "R_PPC64_REL24");
  CHECK(relocation_name(62, 250) == "type 250");
}

TEST_CASE("entries that are not carried as they were are told with their treatment", "[livepatch_content]") {
  ObjectFixture object;
  livepatch(object);
  const char entry[] = "ext4\0ext4_get\0008\0__jump_table\0ext4_key\0rewritten: ...";  // with its NUL
  object.table(kLateSection, test::to_bytes(std::string_view(entry, sizeof entry)), 0, 1);
  const LivepatchContent content = livepatch_content(object.result());
  REQUIRE(content.late_entries.size() == 1);
  const LateEntry& late = content.late_entries.front();
  CHECK(late.object == "ext4");
  CHECK(late.function == "ext4_get");
  CHECK(late.offset == 8);
  CHECK(late.table == "__jump_table");
  CHECK(late.key == "ext4_key");
  CHECK(late.treatment == "rewritten: ...");
  const std::string text = report::livepatch_text(content, false, false);
  CHECK_THAT(text, Catch::Contains("ext4:ext4_get+0x8 __jump_table, key ext4_key\n    rewritten: ..."));
}
