#include "elf/power_addresses.h"

#include <algorithm>
#include <tuple>

#include "elf/power_instructions.h"
#include "elf/power_registers.h"
#include "support/bytes.h"

namespace klp::elf {
namespace {

constexpr uint32_t kBase = 2, kAddi = 14, kAddis = 15, kFirstMemory = 32, kLastMemory = 55, kLoadDouble = 58,
                   kStoreDouble = 62;

uint32_t opcode(uint32_t word) {
  return word >> 26;
}
uint32_t to(uint32_t word) {
  return word >> 21 & 31;
}
uint32_t from(uint32_t word) {
  return word >> 16 & 31;
}

/// D-form and DS-form: a register and 16 bits of distance from it (Power ISA 3.1, 1.6).
bool has_distance(uint32_t word) {
  const uint32_t kind = opcode(word);
  return kind == kAddi || (kind >= kFirstMemory && kind <= kLastMemory) || kind == kLoadDouble || kind == kStoreDouble;
}

uint64_t distance(uint32_t word) {
  const bool by_words = opcode(word) == kLoadDouble || opcode(word) == kStoreDouble;
  return static_cast<uint64_t>(int64_t{static_cast<int16_t>(by_words ? word & ~3U : word)});
}

/// `or` of a register with itself.
bool is_copy(uint32_t word) {
  constexpr uint32_t kOr = 31U << 26 | 444U << 1;
  return (word & 0xfc0007ff) == kOr && to(word) == (word >> 11 & 31);
}

class Follower {
 public:
  Follower(std::span<const std::byte> code, uint64_t base)
      : code_(code), base_(base), instructions_(decode_power(code)), calls_(power_call_registers()) {
    index_at_.resize(code.size() / 4 + 1, instructions_.size());
    for (size_t n = 0; n < instructions_.size(); ++n) index_at_[instructions_[n].offset / 4] = n;
  }

  std::vector<PowerAddress> run() {
    for (size_t n = 0; n < instructions_.size(); ++n) {
      if (instructions_[n].size != 4) continue;
      const uint32_t word = word_of(n);
      if (from(word) != kBase || to(word) == kBase) continue;
      if (opcode(word) == kAddis)
        follow(n + 1, to(word), base_ + (static_cast<uint64_t>(int64_t{static_cast<int16_t>(word)}) << 16));
      else if (has_distance(word))
        found_.push_back({instructions_[n].offset, base_ + distance(word)});
    }
    const auto key = [](const PowerAddress& a) { return std::tuple(a.offset, a.address); };
    std::sort(found_.begin(), found_.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    const auto same = [&](const auto& a, const auto& b) { return key(a) == key(b); };
    found_.erase(std::unique(found_.begin(), found_.end(), same), found_.end());
    return std::move(found_);
  }

 private:
  uint32_t word_of(size_t n) const { return read_le<uint32_t>(code_, instructions_[n].offset); }

  /// An upper half in a register, from an instruction on.
  void follow(size_t start, uint32_t where, uint64_t upper) {
    seen_.assign(instructions_.size(), 0);
    open_.clear();
    enter(start, 1U << where);
    while (!open_.empty()) {
      const auto [n, held] = open_.back();
      open_.pop_back();
      step(n, held, upper);
    }
  }

  void enter(size_t n, uint32_t held) {
    if (n >= instructions_.size() || held == 0 || (seen_[n] | held) == seen_[n]) return;
    seen_[n] |= held;
    open_.emplace_back(n, seen_[n]);
  }

  void step(size_t n, uint32_t held, uint64_t upper) {
    const Instruction& i = instructions_[n];
    if (i.flow != Flow::none) return branch(n, held);
    if (i.size != 4) return enter(n + 1, held);
    const uint32_t word = word_of(n);
    if (has_distance(word) && from(word) != 0 && (held >> from(word) & 1) != 0)
      found_.push_back({i.offset, upper + distance(word)});
    const Disassembler::RegisterUse use = power_registers_of(code_, i.offset);
    if (use.ends) return;
    if (use.call) held &= calls_.kept;
    if (use.jumps) {
      for (size_t any = 0; any < instructions_.size(); ++any) enter(any, held);
      return;
    }
    const bool copied = is_copy(word) && (held >> to(word) & 1) != 0;
    held &= ~use.lost;
    if (copied) held |= 1U << from(word);
    enter(n + 1, held);
  }

  void branch(size_t n, uint32_t held) {
    const Instruction& i = instructions_[n];
    if (i.flow == Flow::call) return enter(n + 1, held & calls_.kept);
    if (i.target >= 0 && static_cast<uint64_t>(i.target) < code_.size())
      enter(index_at_[static_cast<uint64_t>(i.target) / 4], held);
    if (i.flow == Flow::conditional_jump) enter(n + 1, held);
  }

  std::span<const std::byte> code_;
  const uint64_t base_;
  const std::vector<Instruction> instructions_;
  const Disassembler::CallRegisters calls_;
  std::vector<size_t> index_at_;  // by word
  std::vector<uint32_t> seen_;    // by instruction: the registers that hold the half there
  std::vector<std::pair<size_t, uint32_t>> open_;
  std::vector<PowerAddress> found_;
};

}  // namespace

std::vector<PowerAddress> power_addresses(std::span<const std::byte> function, uint64_t base) {
  return Follower(function, base).run();
}

}  // namespace klp::elf
