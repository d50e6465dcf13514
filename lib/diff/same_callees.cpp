#include "diff/same_callees.h"

#include <algorithm>
#include <set>

#include "support/error.h"

namespace klp::diff {
namespace {

/// Names of functions and undefined symbols, and strings in quotes; without the function itself.
std::set<std::string> names_in(const Pieces& pieces, const Piece& function) {
  std::set<std::string> names;
  const auto add = [&](const Reference& reference) {
    if (reference.kind == Reference::Kind::external) names.emplace(reference.symbol->name);
    if (reference.kind == Reference::Kind::string) names.insert(fmt::format("\"{}\"", reference.string));
    if (reference.kind != Reference::Kind::piece || reference.piece->kind != PieceKind::function) return;
    if (reference.piece->symbol != nullptr && reference.piece != &function)
      names.emplace(reference.piece->symbol->name);
  };
  for (const elf::Relocation& relocation : pieces.relocations(function)) {
    if (pieces.arch().field_kind(relocation).width == 0) continue;
    if (pieces.arch().is_made_by_loader(relocation.symbol->name)) continue;
    add(pieces.resolve(relocation));
  }
  for (const elf::Instruction& instruction : pieces.code(function)) {
    if (const auto outward = pieces.outward_branch(function, instruction)) add(*outward);
  }
  return names;
}

}  // namespace

std::optional<std::string> other_references(const Pieces& for_module, const Piece& in_module, const Pieces& as_shipped,
                                            const Piece& shipped) {
  const std::set<std::string> ours = names_in(for_module, in_module), theirs = names_in(as_shipped, shipped);
  for (const std::string& name : ours) {
    if (theirs.count(name) == 0)
      return fmt::format("compiled for a module it refers to {}, the shipped one does not", name);
  }
  for (const std::string& name : theirs) {
    if (ours.count(name) == 0)
      return fmt::format("the shipped one refers to {}, compiled for a module it does not", name);
  }
  return std::nullopt;
}

}  // namespace klp::diff
