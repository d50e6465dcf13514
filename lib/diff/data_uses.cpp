#include "diff/data_uses.h"

#include "diff/address_flow.h"
#include "support/error.h"

namespace klp::diff {
namespace {

/// The function that the call at `offset` goes to.
std::string callee_at(const Pieces& pieces, const Piece& function, uint64_t offset) {
  for (const elf::Relocation& r : pieces.relocations(function)) {
    const uint64_t at = r.offset - function.offset;
    if (at < offset || at >= offset + 8) continue;
    const Reference target = pieces.resolve(r);
    if (target.kind == Reference::Kind::piece) return std::string(target.piece->name());
    if (target.kind == Reference::Kind::external) return std::string(target.symbol->name);
  }
  return "a function pointer";
}

}  // namespace

bool is_constant_data(const Piece& piece) {
  const std::string_view section = piece.section->name;
  if (piece.kind != PieceKind::object || piece.section->is_exec()) return false;
  if (section == ".data.rel.ro" || section.starts_with(".data.rel.ro.")) return true;
  return !piece.section->is_writable() && (section == ".rodata" || section.starts_with(".rodata."));
}

DataUse use_of_data(const Pieces& pieces, const Tables& tables, const Use& use) {
  const Piece& from = *use.from;
  const auto other = [&](std::string_view what) {
    return DataUse{DataUse::Kind::other, fmt::format("{} {}", what, Uses::place(use))};
  };
  if (use.in_entry) return other("in a kernel table entry of");
  if (from.kind != PieceKind::function)
    return other(from.section->is_exec() ? "used by code without a symbol in" : "stored in");
  const elf::Relocation* r = use.reference.relocation;
  // Code that is copied over a site at load lies elsewhere.
  if (r == nullptr || r->section != from.section || r->offset < from.offset || r->offset >= from.end())
    return other("used by an alternative of");
  const AddressFlow flow = follow_address(pieces, tables, from, *use.reference.piece);
  const std::string at = fmt::format("{}+{:#x}", from.name(), flow.at);
  switch (flow.kind) {
    case AddressFlow::Kind::read:
      return {DataUse::Kind::load, {}};
    case AddressFlow::Kind::passed:
      return {DataUse::Kind::passed, fmt::format("passed to {} at {}", callee_at(pieces, from, flow.at), at)};
    case AddressFlow::Kind::stored:
      return {DataUse::Kind::other, "stored at " + at};
    case AddressFlow::Kind::compared:
      return {DataUse::Kind::other, "compared at " + at};
    case AddressFlow::Kind::returned:
      return {DataUse::Kind::other, "returned at " + at};
    case AddressFlow::Kind::unknown:
      break;
  }
  return {DataUse::Kind::other,
          fmt::format("taken at {}, and what becomes of it at {} is not known", Uses::place(use), at)};
}

}  // namespace klp::diff
