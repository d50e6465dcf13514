// Pieces: an object's sections cut at symbols, and references resolved to pieces.
//
// -ffunction-sections leaves some functions and variables without a section of their own (.ref.text, .data.once), and
// the assembler refers to locals as section + offset. Everything after this works on pieces and never on sections.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "arch/arch.h"
#include "diff/branch_sites.h"
#include "diff/piece.h"

namespace klp::diff {

class Pieces {
 public:
  /// `object` and `disassembler` must outlive the pieces. Error for a relocation that cannot be resolved.
  Pieces(const elf::ElfObject& object, const elf::Disassembler& disassembler);
  const elf::ElfObject& object() const { return *object_; }
  const arch::Arch& arch() const { return *arch_; }
  const elf::Disassembler& disassembler() const { return *disassembler_; }

  const std::deque<Piece>& all() const { return pieces_; }  ///< by section and offset

  /// Code is also what is copied over sites.
  bool is_code(const elf::Section& section) const {
    return section.is_exec() || arch_->is_replacement_code(section.name);
  }

  /// Nobody writes what has no name in it.
  bool is_constant(const elf::Section& section) const {
    return !section.is_writable() || arch_->unnamed_is_constant(section.name);
  }

  /// The piece that holds section + offset; the last one before it when it lies in none. Null for an empty section.
  const Piece* at(const elf::Section& section, uint64_t offset) const;

  /// The piece of a defined symbol; null for symbols of sections without content.
  const Piece* of(const elf::Symbol& symbol) const;

  /// The pieces with this name or alias, by section and offset. Several in an object linked from several sources.
  std::vector<const Piece*> named(std::string_view name) const;

  /// Bytes in front of a function that are its own: Piece::prefix, or NOPs for the kernel to fill, from where the
  /// compiler's entry in
  /// __patchable_function_entries points to (-fpatchable-function-entry=N,M; arch/x86/Makefile, 6.2). 0 without any.
  uint64_t padding(const Piece& function) const;

  std::span<const elf::Relocation> relocations(const Piece& piece) const;         ///< within a piece
  std::span<const elf::Relocation> prefix_relocations(const Piece& piece) const;  ///< in the bytes in front of it

  Reference resolve(const elf::Relocation& relocation) const;  ///< Error when it points to nothing

  /// Where a direct branch leaves its function without a relocation: the assembler resolves those inside a section
  /// (.sched.text, .noinstr.text). Nothing when it stays in `piece` or has a relocation. Its `relocation` is null.
  std::optional<Reference> outward_branch(const Piece& piece, const elf::Instruction& instruction) const;

  /// A code piece's instructions, offsets from its start; decoded once, static branches turned off.
  const std::vector<elf::Instruction>& code(const Piece& piece) const;

  bool has_ftrace_site(const Piece& function) const {
    return arch_->has_ftrace_site(
        {*object_, *function.symbol, function.data(), relocations(function), function.offset});
  }

  /// The function that `piece` is a part of: the parent of a .cold piece, else the piece itself.
  const Piece* leader(const Piece* piece) const;

 private:
  static std::span<const elf::Relocation> relocations(const elf::Section& section, uint64_t begin, uint64_t end);
  void cut(const elf::Section& section);
  void add(Piece piece);
  void add_unnamed(const elf::Section& section, uint64_t begin, uint64_t end);
  const Piece* find_leader(const Piece& part) const;
  void read_padding(const elf::Section& entries);
  bool jumps_to(const Piece& from, const Piece& to) const;
  void bias_code_field(Reference& reference, const elf::Relocation& relocation) const;
  Reference string_reference(Reference reference, const elf::Symbol& symbol, int64_t target) const;
  const elf::Instruction* instruction_of(const elf::Relocation& relocation, uint64_t& piece_offset) const;

  const elf::ElfObject* object_;
  const arch::Arch* arch_;
  const elf::Disassembler* disassembler_;
  BranchSites branch_sites_;
  std::deque<Piece> pieces_;
  std::vector<std::vector<const Piece*>> by_section_;
  std::unordered_map<std::string_view, std::vector<const Piece*>> by_name_;
  std::unordered_map<const Piece*, const Piece*> leaders_;  ///< of .cold parts
  std::unordered_map<const elf::Symbol*, const Piece*> by_symbol_;
  std::unordered_map<const Piece*, uint64_t> padding_;
  mutable std::unordered_map<const Piece*, std::vector<elf::Instruction>> code_;
};

/// The relocation of the slot that `relocation` loads from; null when it loads from none, or a constant.
const elf::Relocation* slot_behind(const arch::Arch& arch, const elf::Relocation& relocation);

/// True for `f.cold` and `f.cold.3`; `parent` gets the part before.
bool is_cold_name(std::string_view name, std::string_view* parent = nullptr);

}  // namespace klp::diff
