// Small objects for tests, built in memory and readable at a glance:
//
//   ObjectFixture object;
//   object.file("a.c");
//   object.function("caller").bytes({0xe8, 0, 0, 0, 0, 0xc3}).calls("callee", 1);
//   object.data("counter", 4).bss();
//   const ElfObject elf = object.result();
//
// Names used in references that nothing defines become undefined symbols when the object is finished.
#pragma once

#include <initializer_list>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf_object.h"
#include "elf/object_builder.h"

namespace klp::test {

// x86_64 relocation types (psABI, table 4.9), for tests that name one.
inline constexpr uint32_t kR64 = 1, kRPc32 = 2, kRPlt32 = 4, kR32 = 10, kR32S = 11, kRPc64 = 24;

std::vector<std::byte> to_bytes(std::initializer_list<int> values);
std::vector<std::byte> to_bytes(std::string_view text);

class ObjectFixture;

/// One function, data object or table in the making. All calls return the same piece, for chaining.
class Piece {
 public:
  /// Replaces the content; the symbol's size follows.
  Piece& bytes(std::vector<std::byte> content);
  Piece& bytes(std::initializer_list<int> values) { return bytes(to_bytes(values)); }
  Piece& text(std::string_view string) { return bytes(to_bytes(string)); }

  Piece& global();
  Piece& weak();
  /// Moves the piece into .bss.NAME with its present size.
  Piece& bss();

  /// A relocation at `offset` against the symbol of that name.
  Piece& refers(uint64_t offset, uint32_t type, std::string_view target, int64_t addend = 0);
  /// A relocation against the section symbol of the section of that name, which exists.
  Piece& refers_to_section(uint64_t offset, uint32_t type, std::string_view section, int64_t addend);
  /// A call's displacement: R_X86_64_PLT32 with addend -4. Without an offset, `e8 00 00 00 00` is appended.
  Piece& calls(std::string_view target, uint64_t offset);
  Piece& calls(std::string_view target);
  /// A PC-relative 4-byte load or store displacement: R_X86_64_PC32 with addend -4.
  Piece& uses(std::string_view target, uint64_t offset);
  /// `mov $string,%rdi` as gcc writes it: appends 48 c7 c7 and a 32S relocation to the string section.
  Piece& uses_string(std::string_view string);

  elf::BuilderSection& section() { return *section_; }
  elf::BuilderSymbol& symbol() { return *symbol_; }

 private:
  friend class ObjectFixture;
  ObjectFixture* object_ = nullptr;
  elf::BuilderSection* section_ = nullptr;
  elf::BuilderSymbol* symbol_ = nullptr;  // null for tables
};

class ObjectFixture {
 public:
  static constexpr uint16_t kX86_64 = 62, kPpc64 = 21;

  explicit ObjectFixture(uint16_t machine = kX86_64, uint32_t flags = 0) : builder_(machine, flags) {}

  /// A FILE symbol; the local symbols that follow belong to it.
  void file(std::string_view name);

  /// A function in its own section .text.NAME, local; one `ret` (c3) until bytes() says otherwise.
  Piece& function(std::string_view name, std::vector<std::byte> content = to_bytes({0xc3}));
  Piece& function(std::string_view name, std::initializer_list<int> content) {
    return function(name, to_bytes(content));
  }

  /// A writable object of zeros in its own section .data.NAME, local.
  Piece& data(std::string_view name, uint64_t size);
  /// A read-only object of zeros in its own section .rodata.NAME, local.
  Piece& rodata(std::string_view name, uint64_t size);

  /// A section of any name, without a symbol: kernel tables and the like.
  Piece& table(std::string_view section, std::vector<std::byte> content, uint64_t flags = elf::kShfAlloc,
               uint64_t align = 8);

  /// Puts a string into the merged string section (.rodata.str1.1 unless named) once; returns its offset there.
  uint64_t string(std::string_view text, std::string_view section = ".rodata.str1.1");

  /// A further symbol (alias, label) at `offset` of a piece.
  elf::BuilderSymbol& label(std::string_view name, Piece& piece, uint64_t offset, uint64_t size = 0,
                            uint8_t type = elf::kSttNotype);
  /// An undefined symbol.
  elf::BuilderSymbol& undefined(std::string_view name, bool weak = false);

  /// A .modinfo of these "key=value" strings, a .gnu.linkonce.this_module: a minimal module.
  void module(std::initializer_list<std::string_view> modinfo);

  /// The first symbol of that name (defined or not); made undefined when there is none.
  elf::BuilderSymbol& symbol(std::string_view name);
  elf::BuilderSection& section(std::string_view name);
  elf::ObjectBuilder& builder() { return builder_; }

  elf::ElfObject result(std::string_view name = "test.o");

 private:
  Piece& own_section(std::string_view prefix, std::string_view name, uint64_t flags, uint8_t type);

  elf::ObjectBuilder builder_;
  std::list<Piece> pieces_;
  std::map<std::pair<std::string, std::string>, uint64_t> strings_;
};

}  // namespace klp::test
