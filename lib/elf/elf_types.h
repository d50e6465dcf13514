// Records of one parsed ELF object: const from the moment ElfObject::read returns. A pointer to a record is its
// identity.
//
// Names of fields follow the ELF specification (sh_*, st_*, r_* without the prefix); numbers are as in the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace klp::elf {

// Values used above lib/elf, where <elf.h> and <gelf.h> are not included (ELF specification; gABI).
inline constexpr uint32_t kShtProgbits = 1, kShtSymtab = 2, kShtStrtab = 3, kShtRela = 4, kShtNote = 7, kShtNobits = 8,
                          kShtGroup = 17;
inline constexpr uint64_t kShfWrite = 1, kShfAlloc = 2, kShfExec = 4, kShfMerge = 0x10, kShfStrings = 0x20,
                          kShfInfoLink = 0x40;
inline constexpr uint8_t kStbLocal = 0, kStbGlobal = 1, kStbWeak = 2;
inline constexpr uint8_t kSttNotype = 0, kSttObject = 1, kSttFunc = 2, kSttSection = 3, kSttFile = 4;

struct Symbol;
struct Section;

/// One SHT_RELA entry. `section` is the section that is relocated.
struct Relocation {
  uint64_t offset = 0;
  uint32_t type = 0;
  int64_t addend = 0;
  const Symbol* symbol = nullptr;  ///< never null; index 0 is the null symbol
  const Section* section = nullptr;
};

struct Section {
  uint32_t index = 0;
  std::string_view name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t addralign = 1;
  uint64_t entsize = 0;
  uint64_t size = 0;     ///< also for SHT_NOBITS, which has no data
  uint64_t address = 0;  ///< sh_addr; 0 in relocatable objects
  uint32_t link = 0, info = 0;
  std::span<const std::byte> data;      ///< empty for SHT_NOBITS
  std::vector<Relocation> relocations;  ///< of every RELA section that targets this one, by offset
  std::vector<const Symbol*> symbols;   ///< defined here without section symbols, by (value, index)

  bool is_alloc() const { return (flags & kShfAlloc) != 0; }
  bool is_exec() const { return (flags & kShfExec) != 0; }
  bool is_writable() const { return (flags & kShfWrite) != 0; }
  bool is_strings() const { return (flags & (kShfMerge | kShfStrings)) == (kShfMerge | kShfStrings); }
  bool is_mergeable_constants() const { return (flags & (kShfMerge | kShfStrings)) == kShfMerge; }
  bool has_data() const { return type != kShtNobits; }
};

enum class SymbolPlace : uint8_t { undefined, section, absolute, common, livepatch, other };

struct Symbol {
  uint32_t index = 0;
  std::string_view name;  ///< a section symbol has its section's name
  uint64_t value = 0;
  uint64_t size = 0;
  uint8_t bind = 0, type = 0, other = 0;
  SymbolPlace place = SymbolPlace::undefined;
  const Section* section = nullptr;  ///< set when place == section
  std::string_view file;             ///< for locals: the FILE symbol before them; else empty

  bool is_defined() const { return place == SymbolPlace::section; }
  bool is_undefined() const { return place == SymbolPlace::undefined; }
  bool is_function() const { return type == kSttFunc; }
  bool is_object() const { return type == kSttObject; }
  bool is_section() const { return type == kSttSection; }
  bool is_local() const { return bind == kStbLocal; }
};

}  // namespace klp::elf
