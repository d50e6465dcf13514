// What POWER instructions (ppc64le) do with the general registers.
#pragma once

#include <span>

#include "elf/disassembler.h"

namespace klp::elf {

/// As Disassembler::registers_of; bit n is register n. Known are the instructions that compilers handle addresses with,
/// by their encoding (Power ISA 3.0, 1.6 and appendix C). Of others, every field that may name a register is taken for
/// one that is read, so that whoever follows an address into one gives up.
Disassembler::RegisterUse power_registers_of(std::span<const std::byte> code, uint64_t offset);

/// As Disassembler::fate_of_address, for the `ld` that takes the address from a slot of .toc; what the `addis` in front
/// of it has is the address of the slot.
Disassembler::AddressFate power_fate_of_address(std::span<const std::byte> code, uint64_t offset);

/// 64-bit ELF V2 ABI, 2.2.1.1.
Disassembler::CallRegisters power_call_registers();

}  // namespace klp::elf
