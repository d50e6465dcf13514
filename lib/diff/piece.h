// A piece of a section, and a reference to one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

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
  uint64_t prefix = 0;  ///< bytes in front of `offset` that belong to a function and are the same for all

  std::string_view name() const { return symbol != nullptr ? symbol->name : section->name; }
  uint64_t start() const { return offset - prefix; }
  uint64_t end() const { return offset + size; }
  std::span<const std::byte> data() const {
    return section->has_data() ? section->data.subspan(offset, size) : std::span<const std::byte>();
  }
};

/// What a relocation refers to. Where code loads an address from a slot (Arch::slot_size), that is what the slot holds.
struct Reference {
  enum class Kind { none, external, piece, string };
  Kind kind = Kind::none;
  const elf::Relocation* relocation = nullptr;  ///< null for an outward branch
  const elf::Symbol* symbol = nullptr;          ///< external: undefined, absolute or common
  const Piece* piece = nullptr;
  int64_t offset = 0;       ///< from the symbol, the piece or the string; may lie outside it
  std::string_view string;  ///< the bytes up to the terminator
  const elf::Section* string_section = nullptr;
  uint64_t string_start = 0;              ///< in its section
  int64_t bias = 0;                       ///< Arch::bias of `relocation`
  bool branch = false;                    ///< the field is the target of a direct call or jump
  const elf::Relocation* slot = nullptr;  ///< the address is loaded from a slot that has this relocation
};

}  // namespace klp::diff
