#include "diff/uses.h"

#include "diff/closure.h"
#include "support/error.h"

namespace klp::diff {
namespace {

const std::vector<Use> kNone;

}  // namespace

Uses::Uses(const Pieces& pieces, const Tables& tables) {
  for (const Piece& piece : pieces.all()) {
    if (piece.kind == PieceKind::function) add_code(pieces, tables, piece);
  }
  for (const Piece& piece : pieces.all()) {
    if (piece.kind == PieceKind::function || tables.is_table(*piece.section) ||
        pieces.arch().runs_before_patching_only(piece.section->name))
      continue;
    // What code loads from a slot it uses itself.
    if (pieces.arch().slot_size(*piece.section) != 0 && by_piece_.count(&piece) == 0) continue;
    for (const elf::Relocation& r : pieces.relocations(piece)) {
      if (copied_.count(&r) == 0) add(piece, pieces.resolve(r), r.offset - piece.offset, false);
    }
  }
}

void Uses::add_code(const Pieces& pieces, const Tables& tables, const Piece& piece) {
  for (const elf::Relocation& r : pieces.relocations(piece))
    add(piece, pieces.resolve(r), r.offset - piece.offset, false);
  for (const elf::Instruction& i : pieces.code(piece)) {
    if (const auto outward = pieces.outward_branch(piece, i)) add(piece, *outward, i.offset, false);
  }
  for (const TableEntry& entry : tables.of(&piece)) {
    const std::optional<Fragment> fragment = fragment_of(pieces, entry);
    for (const elf::Relocation* r : relocations_of(entry)) {
      if (!fragment || !fragment->is_field(r->offset - entry.offset)) add(piece, pieces.resolve(*r), 0, true);
    }
    if (!fragment) continue;
    for (const elf::Relocation* r : relocations_of(pieces, *fragment)) {
      copied_.insert(r);
      add(piece, pieces.resolve(*r), 0, false);
    }
  }
}

void Uses::add(const Piece& from, const Reference& reference, uint64_t at, bool in_entry) {
  if (reference.kind == Reference::Kind::external) {
    by_name_[reference.symbol->name].push_back({&from, reference, at, in_entry});
  } else if (reference.kind == Reference::Kind::piece && reference.piece != &from) {
    by_piece_[reference.piece].push_back({&from, reference, at, in_entry});
  }
}

const std::vector<Use>& Uses::of(const Piece& piece) const {
  const auto found = by_piece_.find(&piece);
  return found == by_piece_.end() ? kNone : found->second;
}

const std::vector<Use>& Uses::of_external(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? kNone : found->second;
}

std::string Uses::place(const Use& use) {
  return fmt::format("{}+{:#x}", use.from->name(), use.at);
}

}  // namespace klp::diff
