// Reading fields of shipped code: what a field of a linked image, or of a .ko with its own relocations, refers to.
#pragma once

#include <optional>
#include <string>

#include "diff/pieces.h"
#include "elf/symbol_index.h"

namespace klp::diff {

/// A place in a shipped binary: in a section, at an absolute value, or a symbol that is defined elsewhere.
struct Spot {
  const elf::Section* section = nullptr;
  uint64_t offset = 0;  ///< in the section; the value itself when there is no section and no symbol
  const elf::Symbol* undefined = nullptr;
};

class ShippedCode {
 public:
  ShippedCode(const elf::SymbolIndex& index, const arch::Arch& arch);

  /// What the field at section + offset refers to. `like` is the relocation that the same field has in the object file:
  /// it says the field's kind.
  std::optional<Spot> field_target(const elf::Section& section, uint64_t offset, const elf::Relocation& like,
                                   int64_t bias) const;

  /// Where a direct branch whose target is an immediate goes; `displacement_end` is the offset behind the instruction.
  std::optional<Spot> at(const elf::Section& section, int64_t offset) const;

  /// The spot of a symbol.
  Spot spot_of(const elf::Symbol& symbol) const;

  /// The instructions of shipped code, static branches turned off as in Pieces::code(): a .ko has been through objtool,
  /// an object that stands for the shipped one may not have been.
  std::vector<elf::Instruction> decode(const elf::Disassembler& disassembler, const elf::Section& section,
                                       uint64_t offset, std::span<const std::byte> bytes) const;

  const elf::SymbolIndex& index() const { return index_; }
  bool is_linked() const { return linked_; }

  /// Where a linked address lies; what the pointer there holds.
  Spot at_address(uint64_t address) const;
  std::optional<Spot> behind_pointer(uint64_t address) const;

 private:
  const elf::SymbolIndex& index_;
  const arch::Arch& arch_;
  bool linked_;
  BranchSites branch_sites_;
};

}  // namespace klp::diff
