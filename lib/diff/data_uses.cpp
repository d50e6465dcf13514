#include "diff/data_uses.h"

#include <algorithm>

#include "diff/correlation.h"
#include "support/error.h"

namespace klp::diff {
namespace {

using Fate = elf::Disassembler::AddressFate;

uint64_t start_of_instruction(const Pieces& pieces, const Piece& function, uint64_t field) {
  const auto& code = pieces.code(function);
  const auto after = std::upper_bound(code.begin(), code.end(), field,
                                      [](uint64_t value, const elf::Instruction& i) { return value < i.offset; });
  return after == code.begin() ? 0 : (after - 1)->offset;
}

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
  return piece.kind == PieceKind::object && !piece.section->is_writable() && !piece.section->is_exec() &&
         (section == ".rodata" || section.starts_with(".rodata."));
}

DataUse use_of_data(const Pieces& pieces, const Use& use) {
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
  const uint64_t field = r->offset - from.offset;
  const Fate fate = pieces.disassembler().fate_of_address(from.data(), start_of_instruction(pieces, from, field),
                                                          field + pieces.arch().field_kind(*r).width);
  const auto at = [&](uint64_t offset) { return fmt::format("{}+{:#x}", from.name(), offset); };
  switch (fate.kind) {
    case Fate::Kind::not_taken:
      return {DataUse::Kind::load, {}};
    case Fate::Kind::passed:
      return {DataUse::Kind::passed, fmt::format("passed to {} at {}", callee_at(pieces, from, fate.at), at(fate.at))};
    case Fate::Kind::stored:
    case Fate::Kind::on_stack:
      return {DataUse::Kind::other, fmt::format("stored at {}", at(fate.at))};
    case Fate::Kind::unknown:
      break;
  }
  return {DataUse::Kind::other,
          fmt::format("its address is taken at {}, and what becomes of it is not known", at(field))};
}

}  // namespace klp::diff
