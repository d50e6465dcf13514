// Jumps of static branches that objtool has not turned into NOPs yet.
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "arch/arch.h"
#include "elf/disassembler.h"
#include "elf/elf_object.h"

namespace klp::diff {

/// Where the kernel runs objtool at the link only (IBT), a unit still has a jump at the site of each static branch; the
/// shipped binary has a NOP. In a function's normal form both are a NOP.
class BranchSites {
 public:
  BranchSites(const elf::ElfObject& object, const arch::Arch& arch);

  /// Makes NOPs of such jumps in `code`, which was decoded from `bytes`, at `offset` of `section`.
  void turn_off(const elf::Section& section, uint64_t offset, std::span<const std::byte> bytes,
                std::vector<elf::Instruction>& code) const;

 private:
  void read(const arch::TableLayout& layout, const elf::Section& table);

  const arch::Arch& arch_;
  /// By section and offset of the site: the addend of the entry's reference to its key.
  std::unordered_map<const elf::Section*, std::map<uint64_t, int64_t>> keys_;
};

}  // namespace klp::diff
