#include "elf/power_registers.h"

#include <algorithm>
#include <initializer_list>

#include "support/bytes.h"

namespace klp::elf {
namespace {

using Use = Disassembler::RegisterUse;
using Fate = Disassembler::AddressFate;

constexpr uint64_t kWord = 4;
constexpr uint32_t kStackPointer = 1;

constexpr uint32_t range(unsigned first, unsigned last) {
  return (last == 31 ? ~0U : (1U << (last + 1)) - 1) & ~((1U << first) - 1);
}

bool is_one_of(uint32_t value, std::initializer_list<uint32_t> list) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// The fields of one instruction. Numbers of opcodes are those of the ISA.
struct Word {
  explicit Word(uint32_t word) : all(word) {}

  uint32_t primary() const { return all >> 26; }
  uint32_t extended() const { return all >> 1 & 0x3ff; }  ///< with the bit that asks for overflow
  bool record() const { return (all & 1) != 0; }          ///< compares the result with zero
  uint32_t t() const { return 1U << (all >> 21 & 31); }
  uint32_t a() const { return 1U << (all >> 16 & 31); }
  uint32_t b() const { return 1U << (all >> 11 & 31); }
  uint32_t c() const { return 1U << (all >> 6 & 31); }
  uint32_t a_or_zero() const { return a() == 1 ? 0 : a(); }  ///< as a base, r0 means zero
  uint32_t any() const { return t() | a() | b() | c(); }
  uint32_t immediate() const { return all & 0xffff; }

  const uint32_t all;
};

Use load(uint32_t to, uint32_t place) {
  Use use;
  use.known = use.memory = true;
  use.address = place;
  use.result = use.lost = to;
  return use;
}

Use store(uint32_t value, uint32_t place) {
  Use use;
  use.known = use.memory = use.store = true;
  use.value = value;
  use.address = place;
  return use;
}

/// An address among the operands leads to one.
Use computes(uint32_t to, uint32_t from) {
  Use use;
  use.known = true;
  use.value = from;
  use.result = use.lost = to;
  return use;
}

/// What comes of an address is none.
Use changes(uint32_t to, uint32_t from) {
  Use use;
  use.known = true;
  use.implied = from;
  use.lost = to;
  return use;
}

Use compares(uint32_t values) {
  Use use;
  use.known = true;
  use.value = values;
  return use;
}

Use anything(Word word) {
  return changes(0, word.any());
}

/// Loads and stores whose place is two registers. Those that update their base are not among them.
Use extended_memory(Word w, bool& found) {
  const uint32_t place = w.a_or_zero() | w.b();
  found = true;
  if (is_one_of(w.extended(), {21, 23, 87, 279, 341, 343, 532, 534, 790})) return load(w.t(), place);
  // The last two are conditional, with the bit that others have for the record.
  if (is_one_of(w.extended(), {149, 151, 215, 407, 660, 662, 918, 150, 214})) return store(w.t(), place);
  found = false;
  return {};
}

/// Arithmetic with three registers.
Use extended_arithmetic(Word w, bool& found) {
  found = true;
  const uint32_t kind = w.extended();
  if (!w.record()) {
    if (is_one_of(kind, {266, 40})) return computes(w.t(), w.a() | w.b());  // add, subf
    if (kind == 444) return computes(w.a(), w.t() | w.b());                 // or, mr
  }
  if (kind == 0 || kind == 32) return compares(w.a() | w.b());  // cmp, cmpl
  // mulld, mullw, mulhdu, mulhwu, mulhd, mulhw, divd(u), divw(u); add. and subf.
  if (is_one_of(kind, {233, 235, 9, 11, 73, 75, 489, 457, 491, 459, 266, 40})) return changes(w.t(), w.a() | w.b());
  if (kind == 104) return changes(w.t(), w.a());  // neg
  // and, andc, or, orc, xor, nor, nand, eqv, sld, slw, srd, srw, srad, sraw
  if (is_one_of(kind, {28, 60, 444, 412, 316, 124, 476, 284, 27, 24, 539, 536, 794, 792}))
    return changes(w.a(), w.t() | w.b());
  // srawi, sradi (two numbers), extsb, extsh, extsw, cntlzw, cntlzd, cnttzw, cnttzd
  if (is_one_of(kind, {824, 826, 827, 954, 922, 986, 26, 58, 538, 570})) return changes(w.a(), w.t());
  if (is_one_of(kind, {339, 19, 371, 128})) return changes(w.t(), 0);  // mfspr, mfcr, mftb, setb
  if (is_one_of(kind, {467, 144})) return changes(0, w.t());           // mtspr, mtcrf
  if (is_one_of(kind, {598, 854})) return changes(0, 0);               // sync, eieio
  found = false;
  return {};
}

Use extended(Word w) {
  bool found = false;
  Use use = extended_memory(w, found);
  if (!found) use = extended_arithmetic(w, found);
  if (found) return use;
  if (w.all == 0x7fe00008) {  // trap
    use.known = use.ends = true;
    return use;
  }
  return anything(w);
}

/// Branches by way of a register, and what works on the condition register.
Use special(Word w) {
  constexpr uint32_t kReturn = 0x4e800020, kJump = 0x4e800420, kCall = 0x4e800421, kSynchronize = 0x4c00012c;
  Use use;
  use.known = is_one_of(w.all, {kReturn, kJump, kCall, kSynchronize});
  use.ends = w.all == kReturn;
  use.jumps = w.all == kJump;
  use.call = w.all == kCall;
  constexpr uint32_t kToRegisterHalf = 2;  // addpcis, in five bits
  // mcrf, crand and the like: 2n * 32 + 1, and 0.
  if ((w.extended() & 31) == 1 || w.extended() == 0) use.known = true;
  if ((w.extended() & 31) == kToRegisterHalf) return changes(w.t(), 0);
  return use;
}

/// The primary opcodes with a constant in them.
Use with_constant(Word w) {
  const uint32_t kind = w.primary();
  if (is_one_of(kind, {14, 15})) return computes(w.t(), w.a_or_zero());  // addi, addis, li, lis
  if (is_one_of(kind, {24, 25})) return computes(w.a(), w.t());          // ori, oris, nop
  if (is_one_of(kind, {10, 11})) {                                       // cmpli, cmpi
    Use use = compares(w.a());
    use.constant = w.immediate() != 0;  // no address is zero
    return use;
  }
  if (is_one_of(kind, {7, 8, 12, 13})) return changes(w.t(), w.a());        // mulli, subfic, addic
  if (is_one_of(kind, {21, 26, 27, 28, 29})) return changes(w.a(), w.t());  // rlwinm, xori, xoris, andi., andis.
  if (kind == 20) return changes(0, w.t() | w.a());                         // rlwimi, which keeps a part
  const bool plain = (w.all >> 2 & 7) < 3;                                  // rldicl, rldicr, rldic; not rldimi
  if (kind == 30) return changes(w.a(), plain ? w.t() : w.t() | w.a() | w.b());
  return anything(w);
}

Use of(Word w) {
  const uint32_t kind = w.primary(), variant = w.all & 3;
  if (kind == 19) return special(w);
  if (kind == 31) return extended(w);
  // Prefixed; branches; sc; lmw, stmw, lq: several registers.
  if (is_one_of(kind, {1, 16, 17, 18, 46, 47, 56})) return {};
  // lwz, lbz, lhz, lha; stw, stb, sth; the odd ones update their base, which stays an address of the same.
  if (is_one_of(kind, {32, 33, 34, 35, 40, 41, 42, 43})) return load(w.t(), w.a_or_zero());
  if (is_one_of(kind, {36, 37, 38, 39, 44, 45})) return store(w.t(), w.a_or_zero());
  if (kind == 58 && variant < 3) return load(w.t(), w.a_or_zero());   // ld, ldu, lwa
  if (kind == 62 && variant < 2) return store(w.t(), w.a_or_zero());  // std, stdu
  if (kind == 62) return {};                                          // stq
  return with_constant(w);
}

/// bc without the link bit; the code behind it goes on with the same registers.
bool is_conditional_branch(Word word) {
  return word.primary() == 16 && !word.record();
}

}  // namespace

Use power_registers_of(std::span<const std::byte> code, uint64_t offset) {
  return offset + kWord <= code.size() ? of(Word(read_le<uint32_t>(code, offset))) : Use{};
}

Fate power_fate_of_address(std::span<const std::byte> code, uint64_t offset) {
  constexpr int kWindow = 64;  // instructions
  const Disassembler::CallRegisters calls = power_call_registers();
  Fate fate;
  uint32_t held = 0;
  for (int n = 0; n < kWindow && offset + kWord <= code.size(); ++n, offset += kWord) {
    const Word word(read_le<uint32_t>(code, offset));
    const Use use = of(word);
    if (n == 0) {
      if (word.primary() == 14) break;  // addi: the address itself
      if (word.primary() != 58) return {Fate::Kind::not_taken, 0};
      held = use.result;
      continue;
    }
    const bool direct_call = word.primary() == 18 && word.record();
    if (direct_call || use.call) {
      if ((held & calls.arguments) != 0) fate = {Fate::Kind::passed, offset};
      held &= calls.kept;
    } else if (is_conditional_branch(word)) {
      continue;
    } else if (!use.known || use.ends || use.jumps) {
      break;
    } else if (use.store && (use.value & held) != 0) {
      const bool stack = word.a() == 1U << kStackPointer;
      fate = {stack ? Fate::Kind::on_stack : Fate::Kind::stored, offset};
      if (!stack) break;
    } else {
      const bool computed = (use.value & held) != 0;
      held &= ~use.lost;
      if (computed) held |= use.result;
    }
    if (held == 0) break;
  }
  return fate;
}

Disassembler::CallRegisters power_call_registers() {
  return {range(3, 10), range(3, 4), range(14, 31)};
}

}  // namespace klp::elf
