// Code whose addresses are in halves, compiled and linked: which instructions belong together, and the whole addresses.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "arch/linked_code.h"
#include "diff/pieces.h"
#include "diff/shipped_code.h"

namespace klp::diff {

/// An instruction of the compiled function and what it became; null where the linker left it out.
using LinkedPair = std::pair<const elf::Instruction*, const elf::Instruction*>;

class LinkedHalves {
 public:
  /// Pairs the instructions in order, padding aside, as many as both have. On machines without halves, and for binaries
  /// that are not linked, that is all.
  LinkedHalves(const Pieces& original, const Piece& piece, const ShippedCode& shipped,
               std::span<const std::byte> theirs_bytes, const std::vector<const elf::Instruction*>& ours,
               const std::vector<const elf::Instruction*>& theirs);

  const std::vector<LinkedPair>& pairs() const { return pairs_; }
  /// How many of their instructions have a pair.
  size_t taken() const { return taken_; }
  /// The number (instruction_number()) that our instruction's counterpart has.
  int64_t their_number(int64_t ours) const;

  /// Whether these are questions for the functions below.
  bool is_half(const elf::Relocation& relocation) const;
  bool sets_base(const elf::Relocation& relocation) const;

  /// Where the address leads that the lower half in `theirs` completes; an upper one has no spot of its own.
  /// Sets `wrong` when the two instructions, which have `relocation`, are no counterparts.
  std::optional<Spot> target(const elf::Relocation& relocation, const elf::Instruction& ours,
                             const elf::Instruction& theirs, bool& wrong) const;

 private:
  struct Upper {
    const elf::Relocation* relocation;
    int64_t value;
    uint32_t to;
    bool left_out;
  };
  const elf::Relocation* half_of(const elf::Instruction& ours) const;
  std::optional<arch::LinkedCode::Half> read(const elf::Relocation& relocation, const elf::Instruction& ours,
                                             const elf::Instruction& theirs) const;
  const Upper* upper_for(const elf::Relocation& lower, uint32_t from) const;

  const Pieces& original_;
  const Piece& piece_;
  const ShippedCode& shipped_;
  std::span<const std::byte> theirs_bytes_;
  const arch::LinkedCode* code_;
  std::optional<uint64_t> base_;
  std::vector<LinkedPair> pairs_;
  std::vector<Upper> uppers_;
  std::vector<int64_t> left_out_;  ///< numbers of ours
  size_t taken_ = 0;
};

}  // namespace klp::diff
