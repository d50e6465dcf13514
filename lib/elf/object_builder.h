// ObjectBuilder: a relocatable object that is being made or edited. Sections, symbols and relocations refer to each
// other by pointer; every index, name offset and file offset is computed once, in serialize().
//
// Sections and symbols live in lists: their addresses stay the same while others are added or erased.
#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <string>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

struct BuilderSymbol;

struct BuilderRelocation {
  uint64_t offset = 0;
  uint32_t type = 0;
  BuilderSymbol* symbol = nullptr;  ///< null: the null symbol (R_*_NONE, or an absolute addend)
  int64_t addend = 0;
};

/// The relocations of one RELA section. An ordinary section has one list; a livepatch module has further ones per
/// section, named .klp.rela.OBJECT.SECTION, with SHF_RELA_LIVEPATCH among their flags.
struct BuilderRelaSection {
  std::string name;    ///< ".rela.text" etc.
  uint64_t flags = 0;  ///< besides SHF_INFO_LINK, which is always set
  std::vector<BuilderRelocation> relocations{};
};

struct BuilderSection {
  std::string name;
  uint32_t type = kShtProgbits;
  uint64_t flags = 0;
  uint64_t addralign = 1;
  uint64_t entsize = 0;
  std::vector<std::byte> data{};
  uint64_t nobits_size = 0;  ///< size when type is SHT_NOBITS
  std::list<BuilderRelaSection> relas{};

  BuilderSection* link_order = nullptr;  ///< the section whose order this one follows (SHF_LINK_ORDER), else null
  /// Of a section group (SHT_GROUP): its signature and members. `data` holds the flag word alone; the relocation
  /// sections of a member that have SHF_GROUP are members too.
  BuilderSymbol* group_signature = nullptr;
  std::vector<BuilderSection*> group_members{};

  uint64_t size() const { return type == kShtNobits ? nobits_size : data.size(); }
};

struct BuilderSymbol {
  std::string name;  ///< not written for section symbols
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
  ObjectBuilder& operator=(ObjectBuilder&&) = default;
  ObjectBuilder(const ObjectBuilder&) = delete;

  /// An editable copy of `object`: every section but the symbol, string and relocation tables, every symbol, every
  /// relocation, section groups. Needs ET_REL read with its relocations. A section whose sh_link has a meaning that is
  /// not understood is an Error naming it.
  static ObjectBuilder copy_of(const ElfObject& object);

  uint16_t machine() const { return machine_; }

  BuilderSection& add_section(BuilderSection section);
  BuilderSymbol& add_symbol(BuilderSymbol symbol);

  /// The section's symbol of type STT_SECTION, made at first use.
  BuilderSymbol& section_symbol(BuilderSection& section);

  /// The ordinary relocation list of a section (".rela" + name), made at first use.
  std::vector<BuilderRelocation>& relocations(BuilderSection& section);

  /// In order of addition. Erasing is allowed; what still refers to the erased is an Error in serialize().
  std::list<BuilderSection>& sections() { return sections_; }
  std::list<BuilderSymbol>& symbols() { return symbols_; }

  /// Removes sections with their relocations and the symbols defined in them; groups lose them as members, an empty
  /// group goes too.
  void remove_sections(const std::vector<const BuilderSection*>& gone);

  /// The finished ELF file: locals before globals, otherwise in the order of addition; sections in the order of
  /// addition, each followed by its relocation sections. Deterministic. Errors: a relocation outside its section, a
  /// reference to a section or symbol that is not of this builder, 0xff00 sections or more, an alignment that is no
  /// power of two.
  std::vector<std::byte> serialize() const;

  /// serialize() written atomically.
  void write(const std::filesystem::path& path) const;

 private:
  uint16_t machine_;
  uint32_t flags_;
  std::list<BuilderSection> sections_;
  std::list<BuilderSymbol> symbols_;
};

}  // namespace klp::elf
