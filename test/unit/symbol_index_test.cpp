#include "elf/symbol_index.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "elf_fixture.h"

using namespace klp;
using elf::Symbol;

namespace {

/// Three files of which two have one name, 3,000 labels in one function (names and places repeat), globals, absentees.
elf::ElfObject crowded_object(unsigned seed) {
  std::mt19937 random(seed);
  test::ObjectFixture fixture;
  for (const char* file : {"a.c", "b.c", "a.c"}) {
    fixture.file(file);
    test::Piece& piece = fixture.function(fmt::format("f{}", random()), std::vector<std::byte>(0x20000));
    for (int i = 0; i < 3000; ++i) fixture.label(fmt::format("n{}", random() % 800), piece, random() % 0x20000);
  }
  for (int i = 0; i < 100; ++i) fixture.function(fmt::format("n{}", i)).global();
  for (int i = 50; i < 150; ++i) fixture.undefined(fmt::format("u{}", i));
  return fixture.result();
}

template <typename Take>
std::vector<const Symbol*> naive(const elf::ElfObject& object, Take take) {
  std::vector<const Symbol*> result;
  for (const Symbol& s : object.symbols()) {
    if (take(s)) result.push_back(&s);
  }
  return result;
}

}  // namespace

TEST_CASE("symbols by name are those that a look at all of them finds, in their order", "[symbol-index]") {
  const elf::ElfObject object = crowded_object(1);
  const elf::SymbolIndex index(object);
  for (int i = 0; i < 900; ++i) {
    const std::string name = (i % 2 == 0 ? "n" : "u") + std::to_string(i);
    const auto all = naive(object, [&](const Symbol& s) { return s.name == name; });
    const auto defined = naive(object, [&](const Symbol& s) { return s.name == name && s.is_defined(); });
    const auto global =
        naive(object, [&](const Symbol& s) { return s.name == name && s.is_defined() && !s.is_local(); });
    CHECK(object.all_named(name) == all);
    CHECK(object.symbols_named(name) == defined);
    CHECK(index.maybe_global(name) == (global.empty() ? nullptr : global.front()));
  }
  CHECK(object.all_named("").empty());
  CHECK(object.symbols_named(".text.n1").empty());  // a section symbol
  CHECK(object.all_named("nowhere").empty());
}

TEST_CASE("a file's block has its locals alone, also where two files have one name", "[symbol-index]") {
  const elf::ElfObject object = crowded_object(2);
  const elf::SymbolIndex index(object), copy(index);
  REQUIRE(index.blocks_of("a.c").size() == 2);
  REQUIRE(index.blocks_of("b.c").size() == 1);
  CHECK(index.blocks_of("c.c").empty());
  CHECK(index.blocks_of("a.c") == copy.blocks_of("a.c"));
  std::vector<const Symbol*> found;
  for (const char* file : {"a.c", "b.c"}) {
    for (const elf::FileBlock* block : index.blocks_of(file)) {
      CHECK(block->file == file);
      for (const auto& [name, symbols] : block->locals) {
        for (const Symbol* s : symbols) CHECK((s->name == name && s->file == file));
        found.insert(found.end(), symbols.begin(), symbols.end());
      }
    }
  }
  std::sort(found.begin(), found.end());
  CHECK(found == naive(object, [](const Symbol& s) { return s.is_local() && s.is_defined() && !s.is_section(); }));
}

TEST_CASE("a section's symbols are in the order of their values, then of the table", "[symbol-index]") {
  const elf::ElfObject object = crowded_object(3);
  size_t largest = 0;
  for (const elf::Section& section : object.sections()) {
    auto expected = naive(object, [&](const Symbol& s) { return s.section == &section && !s.is_section(); });
    std::stable_sort(expected.begin(), expected.end(),
                     [](const Symbol* a, const Symbol* b) { return a->value < b->value; });
    CHECK(section.symbols == expected);
    largest = std::max(largest, expected.size());
  }
  CHECK(largest > 1000);
}

TEST_CASE("a shipped module is read without the relocations of what is not loaded", "[symbol-index]") {
  test::ObjectFixture fixture;
  fixture.function("f").calls("g");
  fixture.table(".debug_info", std::vector<std::byte>(16), 0).refers(8, 1, "f");
  const elf::ElfObject whole = fixture.result();
  const std::vector<std::byte> bytes(whole.bytes().begin(), whole.bytes().end());
  const auto count = [&](elf::ElfObject::Want want, std::string_view section) {
    return elf::ElfObject::parse("m.ko", bytes, want).maybe_section(section)->relocations.size();
  };
  CHECK(count(elf::ElfObject::Want::relocations, ".text.f") == 1);
  CHECK(count(elf::ElfObject::Want::relocations, ".debug_info") == 1);
  CHECK(count(elf::ElfObject::Want::allocated, ".text.f") == 1);
  CHECK(count(elf::ElfObject::Want::allocated, ".debug_info") == 0);
  CHECK(count(elf::ElfObject::Want::symbols_only, ".text.f") == 0);
}
