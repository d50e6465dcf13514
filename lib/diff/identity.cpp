#include "diff/identity.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

#include "diff/compare.h"
#include "diff/instructions.h"
#include "diff/linked_halves.h"
#include "diff/same_callees.h"
#include "diff/shipped_code.h"
#include "support/log.h"

namespace klp::diff {
namespace {

constexpr int kMaxDepth = 4;

/// Compares one function, or data behind a reference, with shipped bytes.
class Matcher {
 public:
  Matcher(const Pieces& original, const ShippedCode& shipped, const Identity& identity)
      : original_(original), shipped_(shipped), identity_(identity) {}

  std::optional<std::string> code(const Piece& piece, const elf::Section& section, uint64_t offset,
                                  uint64_t size) const {
    if (!section.has_data() || offset > section.data.size() || size > section.data.size() - offset)
      return std::string("lies outside of its section");
    const auto theirs_bytes = section.data.subspan(offset, size);
    const auto theirs_all = shipped_.decode(original_.disassembler(), section, offset, theirs_bytes);
    const auto ours = without_padding(original_.code(piece));
    const auto theirs = without_padding(theirs_all);
    const LinkedHalves halves(original_, piece, shipped_, theirs_bytes, ours, theirs);
    for (const auto& [x, y] : halves.pairs()) {
      if (y != nullptr && !same_instruction(piece, *x, section, offset, *y, theirs_all, halves)) {
        return fmt::format("at +{:#x}: compiled '{}', shipped '{}'", x->offset,
                           original_.disassembler().text(piece.data(), x->offset),
                           original_.disassembler().text(theirs_bytes, y->offset));
      }
    }
    if (halves.pairs().size() != ours.size() || halves.taken() != theirs.size())
      return fmt::format("{} instructions compiled, {} shipped", ours.size(), theirs.size());
    return std::nullopt;
  }

 private:
  bool same_instruction(const Piece& piece, const elf::Instruction& x, const elf::Section& section, uint64_t start,
                        const elf::Instruction& y, const std::vector<elf::Instruction>& theirs,
                        const LinkedHalves& halves) const {
    if (x.flow != y.flow || x.condition != y.condition) return false;
    const elf::Relocation* only = nullptr;
    std::vector<const elf::Relocation*> refs;
    const auto all = original_.relocations(piece);
    const uint64_t begin = piece.offset + x.offset;
    auto next = std::lower_bound(all.begin(), all.end(), begin,
                                 [](const elf::Relocation& r, uint64_t offset) { return r.offset < offset; });
    for (; next != all.end() && next->offset < begin + x.size; ++next) {
      if (original_.arch().field_kind(*next).width > 0) refs.push_back(only = &*next);
    }
    if (x.flow != elf::Flow::none) {
      if (const auto outward = original_.outward_branch(piece, x)) {
        const auto spot = shipped_.at(section, static_cast<int64_t>(start) + y.target);
        return spot && same_target(*outward, *spot, 0);
      }
      if (refs.empty())
        return halves.their_number(instruction_number(original_.code(piece), piece.size, x.target)) ==
               instruction_number(theirs, theirs.empty() ? 0 : theirs.back().offset + theirs.back().size, y.target);
      if (refs.size() != 1) return false;
      const Reference reference = original_.resolve(*only);
      // The shipped branch may be shorter: its displacement is the instruction's last field, in whatever width.
      const bool same_length = x.size == y.size;
      const uint64_t field = start + y.offset + (only->offset - piece.offset - x.offset);
      const auto spot = same_length ? shipped_.field_target(section, field, *only, reference.bias)
                                    : shipped_.at(section, static_cast<int64_t>(start) + y.target);
      return spot && same_target(reference, *spot, 0);
    }
    if (x.size != y.size) return false;
    std::vector<std::byte> a(piece.data().begin() + static_cast<int64_t>(x.offset),
                             piece.data().begin() + static_cast<int64_t>(x.offset + x.size));
    const auto shipped_bytes = section.data.subspan(start + y.offset, y.size);
    std::vector<std::byte> b(shipped_bytes.begin(), shipped_bytes.end());
    for (const elf::Relocation* r : refs) {
      const Reference reference = original_.resolve(*r);  // which makes sure that the field lies in the instruction
      const uint64_t at = r->offset - piece.offset - x.offset;
      const arch::FieldKind kind = original_.arch().field_kind(*r);
      arch::clear_field(kind, std::span(a).subspan(at, kind.width));
      arch::clear_field(kind, std::span(b).subspan(at, kind.width));
      if (halves.sets_base(*r)) continue;
      if (halves.is_half(*r)) {
        if (!same_half(x, y, reference, halves)) return false;
        return true;  // its instruction has been looked at as a whole
      }
      const auto spot = shipped_.field_target(section, start + y.offset + at, *r, reference.bias);
      if (!spot || !same_target(reference, *spot, 0)) return false;
    }
    return a == b;
  }

  bool same_half(const elf::Instruction& x, const elf::Instruction& y, const Reference& reference,
                 const LinkedHalves& halves) const {
    bool wrong = false;
    const auto spot = halves.target(*reference.relocation, x, y, wrong);
    return !wrong && (!spot || same_target(reference, *spot, 0));
  }

  bool same_target(const Reference& reference, const Spot& spot, int depth) const {
    switch (reference.kind) {
      case Reference::Kind::none:
        return true;
      case Reference::Kind::string:
        return same_string(reference, spot);
      case Reference::Kind::external:
        return same_external(reference, spot);
      case Reference::Kind::piece:
        break;
    }
    const Piece& piece = *reference.piece;
    if (piece.symbol == nullptr) return same_data(piece, reference.offset, spot, depth);
    // A local is where a symbol of its name is; for names that occur several times in a file any of them proves it.
    if (spot.section == nullptr) return false;
    for (const elf::Symbol* candidate : identity_candidates(piece)) {
      const Spot there = shipped_.spot_of(*candidate);
      if (there.section != spot.section) continue;
      const auto offset = static_cast<int64_t>(spot.offset - there.offset);
      if (offset == reference.offset || is_local_entry(reference, *candidate, offset)) return true;
      if (piece.kind == PieceKind::function && offset >= 0 && static_cast<uint64_t>(offset) <= candidate->size &&
          same_place_inside(piece, reference.offset, *candidate, there, offset))
        return true;
    }
    return is_private_static(piece) && same_data(piece, reference.offset, spot, depth);
  }

  /// A place inside a function (the start of a switch case, a .cold part) counts as an instruction number.
  bool same_place_inside(const Piece& piece, int64_t ours, const elf::Symbol& symbol, const Spot& start,
                         int64_t theirs) const {
    const uint64_t available = start.section->data.size();
    if (!start.section->has_data() || start.offset > available || symbol.size > available - start.offset) return false;
    // A function is referred to once for each case of a switch; it is decoded once.
    const auto [slot, made] = decoded_.try_emplace(&symbol);
    if (made)
      slot->second = shipped_.decode(original_.disassembler(), *start.section, start.offset,
                                     start.section->data.subspan(start.offset, symbol.size));
    const std::vector<elf::Instruction>& code = slot->second;
    return instruction_number(original_.code(piece), piece.size, ours) == instruction_number(code, symbol.size, theirs);
  }

  std::vector<const elf::Symbol*> identity_candidates(const Piece& piece) const {
    const elf::Symbol* known = identity_.shipped_symbol(piece);
    if (known != nullptr) return {known};
    return {};
  }

  bool same_external(const Reference& reference, const Spot& spot) const {
    if (spot.undefined != nullptr)
      return spot.undefined->name == reference.symbol->name && static_cast<int64_t>(spot.offset) == reference.offset;
    const elf::Symbol* global = shipped_.index().maybe_global(reference.symbol->name);
    if (global == nullptr) {
      // A weak reference to nothing is linked as address zero.
      return reference.symbol->bind == elf::kStbWeak && spot.section == nullptr &&
             static_cast<int64_t>(spot.offset) == reference.offset;
    }
    const Spot there = shipped_.spot_of(*global);
    const auto offset = static_cast<int64_t>(spot.offset - there.offset);
    if (there.section == spot.section) return offset == reference.offset || is_local_entry(reference, *global, offset);
    // An offset may lead over the end of a section (end markers, fixed maps).
    const uint64_t expected = global->value + static_cast<uint64_t>(reference.offset);
    const uint64_t actual = spot.offset + (spot.section != nullptr ? spot.section->address : 0);
    return shipped_.index().object().type() != 1 && expected == actual;
  }

  /// Calls inside a linked image lead to the entry point behind the one that is the symbol.
  bool is_local_entry(const Reference& reference, const elf::Symbol& function, int64_t offset) const {
    const arch::LinkedCode* linked = arch::linked_code_for(original_.object().machine());
    return linked != nullptr && reference.branch && reference.offset == 0 &&
           offset == static_cast<int64_t>(linked->local_entry(function));
  }

  static bool same_string(const Reference& reference, const Spot& spot) {
    if (spot.section == nullptr || !spot.section->has_data()) return false;
    const auto data = spot.section->data;
    const std::string_view text = reference.string;
    const uint64_t width = 1;
    const uint64_t start = spot.offset - static_cast<uint64_t>(reference.offset);
    if (start > data.size() || data.size() - start < text.size() + width) return false;
    return std::memcmp(data.data() + start, text.data(), text.size()) == 0 && data[start + text.size()] == std::byte{0};
  }

  bool same_data(const Piece& piece, int64_t offset, const Spot& spot, int depth) const {
    if (spot.section == nullptr || depth > kMaxDepth) return false;
    // Data may refer to itself, and to other data by many ways. A difference ends the comparison of the function.
    if (!compared_.emplace(&piece, spot.section, spot.offset - static_cast<uint64_t>(offset)).second) return true;
    if (!piece.section->has_data()) return true;  // zeros that no symbol names: nothing to compare
    const uint64_t start = spot.offset - static_cast<uint64_t>(offset);
    if (!spot.section->has_data() || start > spot.section->data.size() ||
        spot.section->data.size() - start < piece.size)
      return false;
    std::vector<std::byte> ours(piece.data().begin(), piece.data().end());
    const auto theirs_span = spot.section->data.subspan(start, piece.size);
    std::vector<std::byte> theirs(theirs_span.begin(), theirs_span.end());
    for (const elf::Relocation& r : original_.relocations(piece)) {
      const uint64_t at = r.offset - piece.offset;
      const arch::FieldKind kind = original_.arch().field_kind(r);
      if (at + kind.width > piece.size) return false;
      arch::clear_field(kind, std::span(ours).subspan(at, kind.width));
      arch::clear_field(kind, std::span(theirs).subspan(at, kind.width));
      const Reference inner = original_.resolve(r);
      const auto target = shipped_.field_target(*spot.section, start + at, r, inner.bias);
      if (!target || !same_target(inner, *target, depth + 1)) return false;
    }
    return ours == theirs;
  }

  const Pieces& original_;
  const ShippedCode& shipped_;
  const Identity& identity_;
  mutable std::unordered_map<const elf::Symbol*, std::vector<elf::Instruction>> decoded_;
  mutable std::set<std::tuple<const Piece*, const elf::Section*, uint64_t>> compared_;
};

}  // namespace

Identity::~Identity() = default;
Identity::Identity(Identity&&) noexcept = default;

Identity::Identity(const Pieces& original, const elf::SymbolIndex& shipped, const Identity* as_shipped)
    : original_(original), shipped_(shipped), as_shipped_(as_shipped) {
  choose_blocks();
  if (as_shipped == nullptr) {
    compare_all();
  } else {
    take_over();
  }
}

void Identity::take_over() {
  std::set<const Piece*> seen;
  for (const Piece& piece : original_.all()) {
    if (piece.kind != PieceKind::function || piece.symbol == nullptr || piece.symbol->type != elf::kSttFunc) continue;
    FunctionIdentity result;
    result.piece = &piece;
    result.shipped = find_symbol(piece);
    const std::vector<const Piece*> twins = as_shipped_->original_.named(piece.name());
    const FunctionIdentity* twin = twins.size() == 1 ? as_shipped_->of(twins.front()) : nullptr;
    if (twin == nullptr) {
      result.difference = "the compiler makes it for a module only, not for the shipped binary";
    } else {
      seen.insert(twin->piece);
      result.state = twin->state;
      result.difference = twin->difference;
      const auto other = other_references(original_, piece, as_shipped_->original_, *twin->piece);
      if (result.state == IdentityState::matched && other) {
        result.state = IdentityState::different;
        result.difference = *other;
      }
    }
    by_piece_[&piece] = functions_.size();
    functions_.push_back(std::move(result));
  }
  for (const FunctionIdentity& left : as_shipped_->functions_) {
    if (seen.count(left.piece) != 0) continue;
    by_piece_[left.piece] = functions_.size();
    functions_.push_back({left.piece, left.shipped, IdentityState::different,
                          "the compiler makes it for the shipped binary only, not for a module"});
  }
}

void Identity::choose_blocks() {
  std::map<std::string_view, std::vector<const Piece*>> locals;
  for (const Piece& piece : original_.all()) {
    if (piece.symbol == nullptr || !piece.symbol->is_local() || is_private_static(piece)) continue;
    if (piece.kind == PieceKind::function || piece.kind == PieceKind::object)
      locals[piece.symbol->file].push_back(&piece);
  }
  for (const auto& [file, pieces] : locals) blocks_[file] = choose_block(file, pieces);
}

const elf::FileBlock* Identity::choose_block(std::string_view file, const std::vector<const Piece*>& locals) const {
  const elf::FileBlock* best = nullptr;
  size_t best_score = 0;
  bool tied = false;
  for (const elf::FileBlock* block : shipped_.blocks_of(file)) {
    size_t score = 0;
    for (const Piece* piece : locals) score += block->locals.count(piece->symbol->name);
    if (score > best_score || best == nullptr) {
      best_score = score;
      best = block;
      tied = false;
    } else if (score == best_score) {
      tied = true;
    }
  }
  log("identity")
      .debug("{}: {} of {} locals found{}", file, best_score, locals.size(), tied ? ", but more than once" : "");
  // Two files of one name with the same locals: nothing tells them apart by name. Their locals count as unknown.
  return tied && best_score > 0 ? nullptr : best;
}

const elf::FileBlock* Identity::block_of(const Piece& piece) const {
  const auto found = blocks_.find(piece.symbol->file);
  return found == blocks_.end() ? nullptr : found->second;
}

const elf::Symbol* Identity::find_symbol(const Piece& piece) const {
  if (!piece.symbol->is_local()) return shipped_.maybe_global(piece.symbol->name);
  const elf::FileBlock* block = block_of(piece);
  if (block == nullptr) return nullptr;
  const auto found = block->locals.find(piece.symbol->name);
  if (found == block->locals.end()) return nullptr;
  const elf::Symbol* only = nullptr;
  for (const elf::Symbol* s : found->second) {
    const bool function = s->type == elf::kSttFunc;
    if (function != (piece.symbol->type == elf::kSttFunc)) continue;
    if (only != nullptr) return nullptr;
    only = s;
  }
  return only;
}

const elf::Symbol* Identity::shipped_symbol(const Piece& piece) const {
  return piece.symbol == nullptr ? nullptr : find_symbol(piece);
}

std::optional<std::string> Identity::difference(const Piece& piece, const elf::Section& section, uint64_t offset,
                                                uint64_t size) const {
  const ShippedCode code(shipped_, original_.arch());
  return Matcher(original_, code, *this).code(piece, section, offset, size);
}

void Identity::compare_all() {
  const ShippedCode code(shipped_, original_.arch());
  for (const Piece& piece : original_.all()) {
    if (piece.kind != PieceKind::function || piece.symbol == nullptr || piece.symbol->type != elf::kSttFunc) continue;
    FunctionIdentity result;
    result.piece = &piece;
    result.shipped = find_symbol(piece);
    const bool weak = piece.symbol->bind == elf::kStbWeak;
    if (result.shipped == nullptr || !result.shipped->is_defined()) {
      result.difference = "not in the shipped binary";
    } else {
      const Spot start = code.spot_of(*result.shipped);
      const auto difference =
          Matcher(original_, code, *this).code(piece, *start.section, start.offset, result.shipped->size);
      // The linker keeps the binding of the definition it takes.
      const bool overridden = weak && result.shipped->bind != elf::kStbWeak;
      result.state = overridden   ? IdentityState::overridden
                     : difference ? IdentityState::different
                                  : IdentityState::matched;
      result.difference = difference.value_or("");
    }
    by_piece_[&piece] = functions_.size();
    functions_.push_back(std::move(result));
  }
  for (FunctionIdentity& f : functions_) {
    if (f.shipped != nullptr && f.shipped->bind == elf::kStbWeak && lies_elsewhere(f))
      f.state = IdentityState::overridden;
  }
}

// Of two weak definitions the linker takes the first, and the result looks like ours. But another file's functions lie
// between it and those of this unit.
bool Identity::lies_elsewhere(const FunctionIdentity& function) const {
  const elf::Symbol& place = *function.shipped;
  const auto distance = [&](const elf::Symbol& s) {
    return s.value > place.value ? s.value - place.value : place.value - s.value;
  };
  const elf::Symbol* nearest = nullptr;
  for (const FunctionIdentity& f : functions_) {
    if (f.state != IdentityState::matched || f.shipped->bind == elf::kStbWeak || f.shipped->section != place.section)
      continue;
    if (nearest == nullptr || distance(*f.shipped) < distance(*nearest)) nearest = f.shipped;
  }
  if (nearest == nullptr) return false;
  const auto [low, high] = std::minmax(nearest->value, place.value);
  const auto& all = place.section->symbols;
  auto at = std::upper_bound(all.begin(), all.end(), low,
                             [](uint64_t value, const elf::Symbol* s) { return value < s->value; });
  for (; at != all.end() && (*at)->value < high; ++at) {
    if ((*at)->is_local() && (*at)->is_function() && !is_own(**at)) return true;
  }
  return false;
}

bool Identity::is_own(const elf::Symbol& local) const {
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const auto& entry) {
    if (entry.second == nullptr) return true;  // not known which block: it may be this one
    const auto found = entry.second->locals.find(local.name);
    return found != entry.second->locals.end() &&
           std::find(found->second.begin(), found->second.end(), &local) != found->second.end();
  });
}

const FunctionIdentity* Identity::of(const Piece* piece) const {
  const auto found = by_piece_.find(piece);
  return found == by_piece_.end() ? nullptr : &functions_[found->second];
}

size_t Identity::count(IdentityState state) const {
  return static_cast<size_t>(
      std::count_if(functions_.begin(), functions_.end(), [&](const FunctionIdentity& f) { return f.state == state; }));
}

}  // namespace klp::diff
