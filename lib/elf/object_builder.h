// ObjectBuilder: a relocatable object that is being made or edited. Sections, symbols and relocations refer to each other
// by pointer; every index, name offset and file offset is computed once, in write().
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

struct BuilderSymbol;

struct BuilderRelocation {
  uint64_t offset = 0;
  uint32_t type = 0;
  BuilderSymbol* symbol = nullptr;
  int64_t addend = 0;
};

/// The relocations of one RELA section. An ordinary section has one list; a livepatch module has further ones per section,
/// named .klp.rela.OBJECT.SECTION, with SHF_RELA_LIVEPATCH among their flags.
struct BuilderRelaSection {
  std::string name;    ///< ".rela.text" etc.
  uint64_t flags = 0;  ///< besides SHF_INFO_LINK, which is always set
  std::vector<BuilderRelocation> relocations;
};

struct BuilderSection {
  std::string name;
  uint32_t type = kShtProgbits;
  uint64_t flags = 0;
  uint64_t addralign = 1;
  uint64_t entsize = 0;
  std::vector<std::byte> data;
  uint64_t nobits_size = 0;  ///< size when type is SHT_NOBITS
  std::deque<BuilderRelaSection> relas;
  uint64_t size() const { return type == kShtNobits ? nobits_size : data.size(); }
};

struct BuilderSymbol {
  std::string name;
  uint64_t value = 0;
  uint64_t size = 0;
  uint8_t bind = kStbLocal, type = kSttNotype, other = 0;
  SymbolPlace place = SymbolPlace::undefined;
  BuilderSection* section = nullptr;  ///< set when place == section
};

class ObjectBuilder {
 public:
  explicit ObjectBuilder(uint16_t machine, uint32_t flags = 0) : machine_(machine), flags_(flags) {}
  ObjectBuilder(ObjectBuilder&&) = default;

  /// An editable copy of `object` (every section but the symbol, string and relocation tables, every symbol, every
  /// relocation). Needs ET_REL. What cannot be kept (section groups, extended indices) is an Error.
  static ObjectBuilder copy_of(const ElfObject& object);

  BuilderSection& add_section(BuilderSection section);
  BuilderSymbol& add_symbol(BuilderSymbol symbol);

  /// The section's symbol of type STT_SECTION, made at first use.
  BuilderSymbol& section_symbol(BuilderSection& section);

  /// The ordinary relocation list of a section (".rela" + name), made at first use.
  std::vector<BuilderRelocation>& relocations(BuilderSection& section);

  std::deque<BuilderSection>& sections() { return sections_; }
  std::deque<BuilderSymbol>& symbols() { return symbols_; }

  /// The finished ELF file: locals before globals, otherwise in the order of addition; sections in the order of addition, each
  /// followed by its relocation sections. Deterministic. Errors: a relocation outside its section, a symbol of a foreign section,
  /// over 0xfeff sections.
  std::vector<std::byte> serialize() const;

  /// serialize() written atomically.
  void write(const std::filesystem::path& path) const;

 private:
  uint16_t machine_;
  uint32_t flags_;
  std::deque<BuilderSection> sections_;
  std::deque<BuilderSymbol> symbols_;
};

}  // namespace klp::elf
