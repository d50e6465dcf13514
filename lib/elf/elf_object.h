// ElfObject: one ELF file, read whole and checked, immutable.
//
// Used for relocatable objects (.o, .ko) and, without relocations, for linked images (vmlinux). Everything handed out
// points into the object: it must outlive the records.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "elf/elf_types.h"

namespace klp::elf {

class ElfObject {
 public:
  enum class Want {
    relocations,  ///< RELA sections are parsed: for .o and .ko
    allocated,    ///< those of allocated sections only: for shipped modules, most of whose relocations are debug info's
    symbols_only  ///< they are not: for vmlinux, whose debug relocations are hundreds of megabytes
  };

  /// Maps and parses the file. Throws Error naming the file, and the section and entry where something is wrong: no
  /// ELF, empty, truncated, not 64-bit little-endian, bad section link, symbol or relocation out of range, several
  /// symbol tables, compressed allocated sections, overlapping sections, names over 4096 bytes, sections over 1 TiB.
  /// SHT_REL sections are an Error. Extended section indices are understood.
  static ElfObject read(const std::filesystem::path& path, Want want = Want::relocations);

  /// The same from memory; `name` is used in messages. The bytes are copied.
  static ElfObject parse(std::string name, std::vector<std::byte> bytes, Want want = Want::relocations);

  ElfObject(ElfObject&&) noexcept;
  ElfObject& operator=(ElfObject&&) noexcept;
  ~ElfObject();

  const std::string& name() const;               ///< the path, for messages
  uint16_t type() const;                         ///< e_type: ET_REL 1, ET_EXEC 2, ET_DYN 3
  uint16_t machine() const;                      ///< e_machine
  uint32_t flags() const;                        ///< e_flags
  const std::vector<Section>& sections() const;  ///< index 0 is the null section
  const std::vector<Symbol>& symbols() const;    ///< in symbol table order; index 0 is the null symbol
  std::span<const std::byte> bytes() const;      ///< the whole file

  /// First section of that name; null when there is none.
  const Section* maybe_section(std::string_view name) const;

  /// The section symbol of a section; null where the assembler left it out (binutils 2.36 and later do, when unused).
  const Symbol* maybe_section_symbol(const Section& section) const;

  /// All defined symbols of that name, in symbol table order.
  std::vector<const Symbol*> symbols_named(std::string_view name) const;

  /// The same with those that are undefined, absolute, common, or name a section (or a file).
  std::vector<const Symbol*> all_named(std::string_view name) const;

  /// Hex digits of the GNU build id note; empty when there is none.
  std::string build_id() const;

 private:
  struct State;
  explicit ElfObject(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace klp::elf
