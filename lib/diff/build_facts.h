// What differs between two builds beside code and data: exported symbols, types, the configuration, the compiler.
#pragma once

#include <string>
#include <vector>

#include "elf/elf_object.h"
#include "elf/types.h"

namespace klp::diff {

struct Fact {
  enum class Kind { changed, added, removed };
  Kind kind = Kind::changed;
  std::string name;    ///< "kfree", "struct sock", "CONFIG_SMP"
  std::string detail;  ///< what is different; may be empty
};

/// Exported symbols whose CRC, licence or presence differs, by name: from the symbols __ksymtab_NAME and __crc_NAME of
/// vmlinux, modules and objects (include/linux/export.h, 5.10-6.12). The CRC counts where both sides have one.
std::vector<Fact> compare_exports(const elf::ElfObject& before, const elf::ElfObject& after);

/// Named structs, unions and enums whose layout differs, with sizes and the first difference; of those that only one
/// side has, the names. By name.
std::vector<Fact> compare_types(const elf::TypeTable& before, const elf::TypeTable& after);

/// What the object says of its compiler (.comment); empty when it says nothing.
std::string compiler_of(const elf::ElfObject& object);

}  // namespace klp::diff
