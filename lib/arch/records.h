// What questions to an architecture are about: fields that relocations fill in, and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "elf/elf_object.h"

namespace klp::arch {

/// How a relocated field is computed, as far as the engine must know.
struct FieldKind {
  uint8_t width = 0;         ///< bytes of the field; 0: nothing is written (R_*_NONE)
  bool pc_relative = false;  ///< S + A - P
  bool is_signed = true;     ///< a 32-bit field is sign-extended to an address
  uint64_t mask = ~0ULL;     ///< its bits; the others in these bytes belong to the instruction
};

/// Zeroes the bits of a field; `bytes` are its `width` bytes.
void clear_field(const FieldKind& kind, std::span<std::byte> bytes);

/// A function in an object, for questions about its code.
struct FunctionCode {
  const elf::ElfObject& object;
  const elf::Symbol& symbol;
  std::span<const std::byte> code;               ///< from the symbol on
  std::span<const elf::Relocation> relocations;  ///< of the code; offsets count from the section's start
  uint64_t offset = 0;                           ///< of the symbol in its section
};

}  // namespace klp::arch
