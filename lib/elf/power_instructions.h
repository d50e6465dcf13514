// Splitting POWER code (ppc64le) into instructions.
#pragma once

#include <span>
#include <vector>

#include "elf/disassembler.h"

namespace klp::elf {

/// As Disassembler::decode. Every word is an instruction, whether the Power ISA defines it or not; two words are one
/// where the first is a prefix.
std::vector<Instruction> decode_power(std::span<const std::byte> code);

}  // namespace klp::elf
