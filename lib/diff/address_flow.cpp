#include "diff/address_flow.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "diff/closure.h"

namespace klp::diff {
namespace {

using Kind = AddressFlow::Kind;
using RegisterUse = elf::Disassembler::RegisterUse;

class Follower {
 public:
  Follower(const Pieces& pieces, const Tables& tables, const Piece& function, const Piece& object)
      : pieces_(pieces),
        function_(function),
        object_(object),
        code_(pieces.code(function)),
        calls_(pieces.disassembler().call_registers()) {
    for (const elf::Relocation& r : pieces.relocations(function))
      references_.emplace(r.offset - function.offset, pieces.resolve(r));
    for (const TableEntry& entry : tables.of(&function)) {
      for (const elf::Relocation* r : relocations_of(entry)) {
        const Reference target = pieces.resolve(*r);
        if (target.kind == Reference::Kind::piece && target.piece->section->is_exec() &&
            target.piece->symbol != nullptr)
          further_.emplace(static_cast<uint64_t>(entry.owner_offset), target);
      }
    }
  }

  AddressFlow run() {
    take_all();
    for (; !open_.empty(); open_.pop_front()) step(open_.front(), held_[open_.front()]);
    // Which registers hold the address where is known now, for all places that take it.
    judging_ = true;
    take_all();
    for (const auto& [index, held] : std::map<size_t, uint32_t>(held_)) step(index, held);
    return flow_;
  }

 private:
  bool is_final() const { return flow_.kind != Kind::read && flow_.kind != Kind::passed; }

  void decide(Kind kind, size_t index) {
    if (judging_ && !is_final()) flow_ = {kind, code_[index].offset};
  }

  /// The instruction that holds `offset`.
  size_t index_at(uint64_t offset) const {
    const auto after = std::upper_bound(code_.begin(), code_.end(), offset,
                                        [](uint64_t value, const elf::Instruction& i) { return value < i.offset; });
    return after == code_.begin() ? code_.size() : static_cast<size_t>(after - code_.begin()) - 1;
  }

  /// The reference in an instruction's bytes; null when there is none.
  const Reference* reference_in(const elf::Instruction& i) const {
    const auto found = references_.lower_bound(i.offset);
    return found != references_.end() && found->first < i.offset + i.size ? &found->second : nullptr;
  }

  void take_all() {
    for (const elf::Relocation& r : pieces_.relocations(function_)) {
      const uint64_t field = r.offset - function_.offset;
      const Reference& reference = references_.at(field);
      if (reference.kind != Reference::Kind::piece || reference.piece != &object_) continue;
      const size_t index = index_at(field);
      if (index >= code_.size()) continue;
      if (pieces_.arch().loads_slot(r.type))
        begin_with_slot(index);
      else
        begin(index, field + pieces_.arch().field_kind(r).width, reference.offset);
    }
  }

  /// As the last bytes of the instruction, the address is a constant; else the place where it loads or stores, which
  /// is as good as a load.
  void begin(size_t index, uint64_t field_end, int64_t target) {
    const elf::Instruction& i = code_[index];
    const RegisterUse use = pieces_.disassembler().registers_of(function_.data(), i.offset);
    if (!use.known || i.flow != elf::Flow::none) return decide(Kind::unknown, index);
    const bool constant = use.constant && field_end == i.offset + i.size;
    if (!constant && !use.lea) {
      if (use.store || !use.memory) decide(Kind::unknown, index);
      return;
    }
    if (use.store) return decide(Kind::stored, index);
    if (use.result == 0) {
      if (target < static_cast<int64_t>(object_.size)) decide(Kind::compared, index);
      return;
    }
    go_on(index, use.result);
  }

  /// The address is in a slot of its own: it is what is loaded from there. What adds to a register has but the upper
  /// half of the slot's address.
  void begin_with_slot(size_t index) {
    const RegisterUse use = pieces_.disassembler().registers_of(function_.data(), code_[index].offset);
    if (!use.known || use.store) return decide(Kind::unknown, index);
    if (use.memory) go_on(index, use.result);
  }

  void step(size_t index, uint32_t held) {
    const elf::Instruction& i = code_[index];
    if (i.flow != elf::Flow::none) return branch(index, held);
    const RegisterUse use = pieces_.disassembler().registers_of(function_.data(), i.offset);
    if (!use.known) return decide(Kind::unknown, index);
    if (use.call) return call(index, held & ~use.address, use.value & held);
    if (use.jumps) return decide(Kind::unknown, index);
    if (use.ends) return end(index, held);
    const uint32_t values = use.value & held, places = use.address & held;
    if (use.store && places != 0 && !use.lea) return decide(Kind::unknown, index);
    if (use.store && (values != 0 || (use.implied & held) != 0)) return decide(Kind::stored, index);
    if ((use.implied & held) != 0) return decide(Kind::unknown, index);
    const bool computed = values != 0 || (use.lea && places != 0);
    if (values != 0 && use.result == 0 && !is_own_comparison(i, use, held)) return decide(Kind::compared, index);
    held &= ~use.lost;
    if (computed) held |= use.result;
    go_on(index, held);
  }

  /// With itself (for zero), with another address of the object, or with a place in or behind it.
  bool is_own_comparison(const elf::Instruction& i, const RegisterUse& use, uint32_t held) const {
    const Reference* constant = reference_in(i);
    if (use.memory) return false;
    if (constant != nullptr) return constant->kind == Reference::Kind::piece && constant->piece == &object_;
    return !use.constant && (use.value & ~held) == 0;
  }

  void branch(size_t index, uint32_t held) {
    const elf::Instruction& i = code_[index];
    const Reference* reference = reference_in(i);
    const bool inside = reference == nullptr && i.target >= 0 && static_cast<uint64_t>(i.target) < function_.size;
    if (i.flow == elf::Flow::call && i.condition != 0) return decide(Kind::unknown, index);  // bcl
    if (i.flow == elf::Flow::call) return call(index, held, 0);
    if (inside) {
      enter(index_at(static_cast<uint64_t>(i.target)), held);
    } else if (is_return(reference)) {
      end(index, held);
    } else if ((held & calls_.kept) != 0 || i.flow == elf::Flow::conditional_jump || !is_other_function(reference)) {
      decide(Kind::unknown, index);
    } else if ((held & calls_.arguments) != 0 && flow_.kind == Kind::read) {
      decide(Kind::passed, index);
    }
    if (i.flow == elf::Flow::conditional_jump) go_on(index, held);
  }

  /// The kernel's replacement of `ret`.
  static bool is_return(const Reference* reference) {
    return reference != nullptr && reference->kind == Reference::Kind::external &&
           reference->symbol->name == "__x86_return_thunk";
  }

  /// A jump in place of a call and a return.
  bool is_other_function(const Reference* reference) const {
    if (reference == nullptr) return false;
    return reference->kind == Reference::Kind::external ||
           pieces_.leader(reference->piece) != pieces_.leader(&function_);
  }

  void call(size_t index, uint32_t held, uint32_t called) {
    if (called != 0) return decide(Kind::unknown, index);
    if ((held & calls_.arguments) != 0 && flow_.kind == Kind::read) decide(Kind::passed, index);
    go_on(index, held & calls_.kept);
  }

  void end(size_t index, uint32_t held) {
    if ((held & calls_.result) != 0) decide(Kind::returned, index);
  }

  void go_on(size_t index, uint32_t held) { enter(index + 1, held); }

  void enter(size_t index, uint32_t held) {
    if (held == 0) return;
    if (index >= code_.size()) return decide(Kind::unknown, code_.size() - 1);
    uint32_t& there = held_[index];
    if ((there | held) == there) return;
    there |= held;
    open_.push_back(index);
    // At the site of an entry the way may part: a jump label, an exception.
    for (auto [at, last] = further_.equal_range(code_[index].offset); at != last; ++at) {
      if (at->second.piece == &function_ && at->second.offset >= 0)
        enter(index_at(static_cast<uint64_t>(at->second.offset)), held);
      else
        decide(Kind::unknown, index);
    }
  }

  const Pieces& pieces_;
  const Piece& function_;
  const Piece& object_;
  const std::vector<elf::Instruction>& code_;
  const elf::Disassembler::CallRegisters calls_;
  std::map<uint64_t, Reference> references_;    // by offset in the function
  std::multimap<uint64_t, Reference> further_;  // from an entry's site to where it may go on
  std::map<size_t, uint32_t> held_;             // by instruction: registers that hold the address on some way
  std::deque<size_t> open_;
  bool judging_ = false;
  AddressFlow flow_{Kind::read, 0};
};

}  // namespace

AddressFlow follow_address(const Pieces& pieces, const Tables& tables, const Piece& function, const Piece& object) {
  return Follower(pieces, tables, function, object).run();
}

}  // namespace klp::diff
