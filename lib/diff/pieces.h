// Pieces: an object's sections cut at symbols, and references resolved to pieces.
//
// -ffunction-sections gives most functions and variables a section of their own, but not all (.ref.text, .data.once,
// mergeable constants), and the assembler refers to locals as section + offset. Everything after this works on pieces
// and never on sections.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "arch/arch.h"
#include "elf/elf_object.h"

namespace klp::diff {

enum class PieceKind {
  function,
  object,    ///< named data
  constant,  ///< one entry of a mergeable constant section
  anonymous  ///< what no symbol covers
};

/// A range of a section. `symbol` names it (null for constant and anonymous), `aliases` do so too.
struct Piece {
  PieceKind kind = PieceKind::anonymous;
  const elf::Section* section = nullptr;
  uint64_t offset = 0;
  uint64_t size = 0;
  const elf::Symbol* symbol = nullptr;
  std::vector<const elf::Symbol*> aliases;

  std::string_view name() const { return symbol != nullptr ? symbol->name : section->name; }
  uint64_t end() const { return offset + size; }
  std::span<const std::byte> data() const {
    return section->has_data() ? section->data.subspan(offset, size) : std::span<const std::byte>();
  }
};

/// What a relocation refers to.
struct Reference {
  enum class Kind { none, external, piece, string };
  Kind kind = Kind::none;
  const elf::Relocation* relocation = nullptr;  ///< null for an outward branch
  const elf::Symbol* symbol = nullptr;          ///< external: undefined, absolute or common
  const Piece* piece = nullptr;
  int64_t offset = 0;       ///< from the symbol, the piece or the string; may lie outside it
  std::string_view string;  ///< the bytes up to the terminator
  const elf::Section* string_section = nullptr;
  uint64_t string_start = 0;  ///< in its section
  uint64_t field_to_pc = 0;   ///< as Arch::target_offset needs it
  bool branch = false;        ///< the field is the target of a direct call or jump
};

class Pieces {
 public:
  /// `object` and `disassembler` must outlive the pieces. Error for a relocation that cannot be resolved.
  Pieces(const elf::ElfObject& object, const elf::Disassembler& disassembler);

  const elf::ElfObject& object() const { return *object_; }
  const arch::Arch& arch() const { return *arch_; }
  const elf::Disassembler& disassembler() const { return *disassembler_; }

  /// In order of section and offset.
  const std::deque<Piece>& all() const { return pieces_; }

  /// The piece that holds section + offset; the last one before it when it lies in none. Null for an empty section.
  const Piece* at(const elf::Section& section, uint64_t offset) const;

  /// The piece of a defined symbol; null for symbols of sections without content.
  const Piece* of(const elf::Symbol& symbol) const;

  /// The pieces whose primary symbol or an alias has this name, in order of section and offset. More than one where the
  /// object was linked from several sources.
  std::vector<const Piece*> named(std::string_view name) const;

  /// The relocations within a piece.
  std::span<const elf::Relocation> relocations(const Piece& piece) const;

  /// Resolves one relocation. Error naming section and offset when it points to nothing.
  Reference resolve(const elf::Relocation& relocation) const;

  /// Where a direct branch leaves its function without a relocation: the assembler resolves those to local functions of
  /// the same section itself (.sched.text, .noinstr.text). Nothing when the branch stays inside `piece` or has a
  /// relocation. Its `relocation` is null.
  std::optional<Reference> outward_branch(const Piece& piece, const elf::Instruction& instruction) const;

  /// The piece's instructions, offsets from its start; decoded once. Only for pieces of executable sections.
  const std::vector<elf::Instruction>& code(const Piece& piece) const;

  /// The function that `piece` is a part of: the parent of a .cold piece, else the piece itself.
  const Piece* leader(const Piece* piece) const;

 private:
  void cut(const elf::Section& section);
  void add(Piece piece);
  void add_unnamed(const elf::Section& section, uint64_t begin, uint64_t end);
  const Piece* find_leader(const Piece& part) const;
  bool jumps_to(const Piece& from, const Piece& to) const;
  Reference string_reference(Reference reference, const elf::Symbol& symbol, int64_t target) const;
  const elf::Instruction* instruction_of(const elf::Relocation& relocation, uint64_t& piece_offset) const;

  const elf::ElfObject* object_;
  const arch::Arch* arch_;
  const elf::Disassembler* disassembler_;
  std::deque<Piece> pieces_;
  std::vector<std::vector<const Piece*>> by_section_;
  std::unordered_map<std::string_view, std::vector<const Piece*>> by_name_;
  std::unordered_map<const Piece*, const Piece*> leaders_;  ///< of .cold parts
  std::unordered_map<const elf::Symbol*, const Piece*> by_symbol_;
  mutable std::unordered_map<const Piece*, std::vector<elf::Instruction>> code_;
};

/// True for `f.cold` and `f.cold.3`; `parent` gets the part before.
bool is_cold_name(std::string_view name, std::string_view* parent = nullptr);

}  // namespace klp::diff
