// Functions of the shipped kernel that must not be called through a pointer: on a machine that checks indirect calls
// (IBT) the kernel would die of it.
#pragma once

#include <unordered_set>

#include "arch/arch.h"
#include "elf/symbol_index.h"

namespace klp::diff {

/// Whether the kernel checks indirect calls.
bool checks_indirect_calls(const elf::ElfObject& vmlinux, const arch::Arch& arch);

class IndirectEntries {
 public:
  /// `binary`: vmlinux, or a module of such a kernel that was read with its relocations. It must outlive this.
  IndirectEntries(const elf::ElfObject& binary, const arch::Arch& arch);

  /// Whether a function that `binary` defines may be called through a pointer: it begins with the mark, and the kernel
  /// leaves that in its place.
  bool allows(const elf::Symbol& function) const;

 private:
  struct Place {
    const elf::Section* section;
    uint64_t value;
    bool operator==(const Place&) const = default;
  };
  struct Hash {
    size_t operator()(const Place& place) const { return std::hash<uint64_t>()(place.value); }
  };
  void add_linked(const elf::Section& seals);

  arch::IndirectEntry entry_;
  std::unordered_set<Place, Hash> sealed_;  ///< a linked image's without section
  bool linked_;
};

}  // namespace klp::diff
