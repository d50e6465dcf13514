#include "diff/linked_halves.h"

#include <algorithm>

namespace klp::diff {
namespace {

/// The address of the symbol that distances are counted from; it is a local one of no file.
std::optional<uint64_t> find_base(const elf::SymbolIndex& index) {
  if (const elf::Symbol* global = index.maybe_global(arch::LinkedCode::kBase)) return global->value;
  for (const elf::Symbol& symbol : index.object().symbols()) {
    if (symbol.name == arch::LinkedCode::kBase && symbol.is_defined()) return symbol.value;
  }
  return std::nullopt;
}

}  // namespace

LinkedHalves::LinkedHalves(const Pieces& original, const Piece& piece, const ShippedCode& shipped,
                           std::span<const std::byte> theirs_bytes, const std::vector<const elf::Instruction*>& ours,
                           const std::vector<const elf::Instruction*>& theirs)
    : original_(original),
      piece_(piece),
      shipped_(shipped),
      theirs_bytes_(theirs_bytes),
      code_(arch::linked_code_for(original.object().machine())) {
  if (code_ != nullptr && shipped.is_linked()) base_ = find_base(shipped.index());
  for (const elf::Instruction* x : ours) {
    const elf::Relocation* upper = base_ ? half_of(*x) : nullptr;
    if (upper != nullptr && !code_->is_upper(upper->type)) upper = nullptr;
    std::optional<arch::LinkedCode::Half> half;
    if (upper != nullptr && taken_ < theirs.size()) half = read(*upper, *x, *theirs[taken_]);
    if (upper != nullptr && !half) {
      uppers_.push_back({upper, 0, 0, true});
      left_out_.push_back(x->number);
      pairs_.emplace_back(x, nullptr);
      continue;
    }
    if (taken_ == theirs.size()) break;
    if (half) uppers_.push_back({upper, half->value, half->to, false});
    pairs_.emplace_back(x, theirs[taken_++]);
  }
}

int64_t LinkedHalves::their_number(int64_t ours) const {
  return ours - std::count_if(left_out_.begin(), left_out_.end(), [&](int64_t number) { return number < ours; });
}

bool LinkedHalves::is_half(const elf::Relocation& relocation) const {
  return base_.has_value() && code_->is_half(relocation.type);
}

bool LinkedHalves::sets_base(const elf::Relocation& relocation) const {
  return code_ != nullptr && code_->sets_base(relocation.type) && relocation.symbol->name == arch::LinkedCode::kBase;
}

const elf::Relocation* LinkedHalves::half_of(const elf::Instruction& ours) const {
  const auto all = original_.relocations(piece_);
  const uint64_t begin = piece_.offset + ours.offset;
  auto r = std::lower_bound(all.begin(), all.end(), begin,
                            [](const elf::Relocation& x, uint64_t offset) { return x.offset < offset; });
  for (; r != all.end() && r->offset < begin + ours.size; ++r) {
    if (code_->is_half(r->type)) return &*r;
  }
  return nullptr;
}

std::optional<arch::LinkedCode::Half> LinkedHalves::read(const elf::Relocation& relocation,
                                                         const elf::Instruction& ours,
                                                         const elf::Instruction& theirs) const {
  if (ours.size != theirs.size) return std::nullopt;
  return code_->half(relocation.type, piece_.data().subspan(ours.offset, ours.size),
                     theirs_bytes_.subspan(theirs.offset, theirs.size));
}

/// Several instructions may add a lower half to the same upper one, that of the same variable's next word as well. One
/// of the same variable counts in whatever register it is kept since.
const LinkedHalves::Upper* LinkedHalves::upper_for(const elf::Relocation& lower, uint32_t from) const {
  const Upper* best = nullptr;
  int best_rank = -1;
  for (const Upper& upper : uppers_) {
    if (upper.relocation->symbol != lower.symbol || upper.left_out != (from == code_->base_register())) continue;
    const bool same_register = upper.left_out || upper.to == from,
               same_place = upper.relocation->addend == lower.addend;
    const int rank = (same_place ? 2 : 0) + (same_register ? 1 : 0);
    if (rank > best_rank) best = &upper;
    best_rank = std::max(best_rank, rank);
  }
  return best;
}

std::optional<Spot> LinkedHalves::target(const elf::Relocation& relocation, const elf::Instruction& ours,
                                         const elf::Instruction& theirs, bool& wrong) const {
  const auto half = read(relocation, ours, theirs);
  wrong = !half.has_value();
  if (wrong || code_->is_upper(relocation.type)) return std::nullopt;
  const auto own_bytes = piece_.data().subspan(ours.offset, ours.size);
  const auto compiled = code_->half(relocation.type, own_bytes, own_bytes);
  const bool from_base = half->from == code_->base_register();
  const Upper* upper = upper_for(relocation, half->from);
  // The register is the compiled one, or the base where the linker left the upper half out.
  wrong =
      (!from_base && half->from != compiled->from) || (upper == nullptr && compiled->from != code_->base_register());
  if (wrong) return std::nullopt;
  const uint64_t address = *base_ + static_cast<uint64_t>((upper != nullptr ? upper->value : 0) + half->value);
  const bool slot = slot_behind(original_.arch(), relocation) != nullptr;
  if (slot && half->loads_slot) {
    const auto spot = shipped_.behind_pointer(address);
    wrong = !spot.has_value();
    return spot;
  }
  // Without a slot that holds an address, the linker has nothing to put in the place of a load.
  wrong = !slot && half->loads_slot != compiled->loads_slot;
  return shipped_.at_address(address);
}

}  // namespace klp::diff
