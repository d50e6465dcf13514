#include "elf/power_instructions.h"

#include <algorithm>
#include <array>
#include <optional>

#include "support/bytes.h"

namespace klp::elf {
namespace {

// What comparing needs of POWER instructions is in their encoding (Power ISA, 1.6: branches are I-form and B-form), and
// the words that LLVM does not know are as long as the others.
constexpr uint64_t kWord = 4;

uint32_t word_at(std::span<const std::byte> code, uint64_t offset) {
  return offset + kWord <= code.size() ? read_le<uint32_t>(code, offset) : 0;
}

void classify_power(uint32_t word, Instruction& result) {
  // What gas fills gaps with: `nop`, and at the end the one that ends a dispatch group, `ori r2,r2,0` or `ori r1,r1,0`
  // (binutils, gas/config/tc-ppc.c: ppc_handle_align). Others of this form do mean something: `ori r31,r31,0` is a
  // barrier.
  constexpr std::array<uint32_t, 3> kNops = {0x60000000, 0x60420000, 0x60210000};
  constexpr uint32_t kAbsolute = 2, kLink = 1, kConditional = 16, kBranch = 18;
  const auto displacement = [&](uint32_t mask, uint32_t sign) {
    const uint32_t bits = word & mask;
    return static_cast<int64_t>(bits) - ((bits & sign) != 0 ? 2 * static_cast<int64_t>(sign) : 0);
  };
  result.nop = std::find(kNops.begin(), kNops.end(), word) != kNops.end();
  const uint32_t kind = word >> 26;
  if ((kind != kConditional && kind != kBranch) || (word & kAbsolute) != 0) return;
  const bool plain = kind == kBranch;
  result.target = static_cast<int64_t>(result.offset) +
                  (plain ? displacement(0x03fffffc, 0x02000000) : displacement(0xfffc, 0x8000));
  result.flow = (word & kLink) != 0 ? Flow::call : plain ? Flow::jump : Flow::conditional_jump;
  // The condition: BO, BI and the link bit.
  if (!plain) result.condition = static_cast<uint16_t>((word >> 16 & 0x3ff) << 1 | (word & kLink));
}

}  // namespace

std::vector<Instruction> decode_power(std::span<const std::byte> code) {
  constexpr uint32_t kPrefix = 1;  // of an instruction of two words
  std::vector<Instruction> result;
  result.reserve(code.size() / kWord + 1);
  uint32_t number = 0;
  for (uint64_t offset = 0; offset < code.size();) {
    const uint32_t word = word_at(code, offset);
    const uint64_t size = std::min<uint64_t>(word >> 26 == kPrefix ? 2 * kWord : kWord, code.size() - offset);
    Instruction instruction;
    instruction.offset = offset;
    instruction.size = static_cast<uint8_t>(size);
    if (size == kWord) classify_power(word, instruction);
    instruction.number = number;
    if (!instruction.nop) ++number;
    result.push_back(instruction);
    offset += size;
  }
  return result;
}

// Power ISA 3.1: D-form and DS-form have the opcode in bits 0-5, two registers, and 16 bits of distance.
std::vector<PowerHalf> power_halves(std::span<const std::byte> code, uint64_t base) {
  constexpr uint32_t kAddi = 14, kAddis = 15, kBranch = 18, kFirstMemory = 32, kLastMemory = 55, kLoadDouble = 58,
                     kStoreDouble = 62, kBase = 2;
  std::vector<PowerHalf> result;
  std::array<std::optional<uint64_t>, 32> held;
  held[kBase] = base;
  for (const Instruction& i : decode_power(code)) {
    if (i.size != 4) continue;
    const auto word = read_le<uint32_t>(code, i.offset);
    const uint32_t opcode = word >> 26, to = word >> 21 & 31, from = word >> 16 & 31;
    const auto distance = static_cast<uint64_t>(int64_t{static_cast<int16_t>(word)});
    const bool memory =
        (opcode >= kFirstMemory && opcode <= kLastMemory) || opcode == kLoadDouble || opcode == kStoreDouble;
    const bool store = (opcode >= 36 && opcode <= 39) || opcode == 44 || opcode == 45 || opcode == 47 || opcode >= 52;
    if ((opcode == kAddis || opcode == kAddi) && to == kBase) {
      result.push_back({i.offset, false, 0});
    } else if (opcode == kAddis && held[from] && from != 0) {
      result.push_back({i.offset, false, 0});
      held[to] = *held[from] + (distance << 16);
    } else if ((opcode == kAddi || memory) && from != 0 && held[from]) {
      const uint64_t low = opcode == kLoadDouble || opcode == kStoreDouble ? distance & ~3ULL : distance;
      result.push_back({i.offset, true, *held[from] + low});
      if (!store && to != kBase) held[to].reset();
    } else if (opcode == kBranch) {
      if ((word & 1) != 0) {  // a call
        for (uint32_t r = 0; r <= 12; ++r) {
          if (r != kBase && r != 1) held[r].reset();
        }
      }
    } else if (!(memory && store)) {
      for (const uint32_t r : {to, from}) {
        if (r != kBase && !(memory && r == from)) held[r].reset();
      }
    }
  }
  return result;
}

}  // namespace klp::elf
