// A function's instructions as its normal form counts them: padding is none.
#pragma once

#include <cstdint>
#include <vector>

#include "elf/disassembler.h"

namespace klp::diff {

/// The instructions without padding NOPs.
std::vector<const elf::Instruction*> without_padding(const std::vector<elf::Instruction>& code);

/// Number of the first instruction at or behind `offset`, padding not counted; -1 outside of `size` bytes.
int64_t instruction_number(const std::vector<elf::Instruction>& code, uint64_t size, int64_t offset);

}  // namespace klp::diff
