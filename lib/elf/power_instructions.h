// Splitting POWER code (ppc64le) into instructions.
#pragma once

#include <span>
#include <vector>

#include "elf/disassembler.h"

namespace klp::elf {

/// As Disassembler::decode. Every word is an instruction, whether the Power ISA defines it or not; two words are one
/// where the first is a prefix.
std::vector<Instruction> decode_power(std::span<const std::byte> code);

/// An instruction of linked code that has half of a distance from the base register, r2.
struct PowerHalf {
  uint64_t offset = 0;   ///< in the code
  bool lower = false;    ///< it completes an address; otherwise an upper half, or what sets up the base register
  uint64_t address = 0;  ///< of a lower one
};

/// All such, in order. `base` is what r2 holds. Registers are followed in the order of the code, without regard to
/// branches: an upper half counts until its register is written, or may be by a call.
std::vector<PowerHalf> power_halves(std::span<const std::byte> code, uint64_t base);

}  // namespace klp::elf
