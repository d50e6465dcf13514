// Whether two objects are the same apart from what only a debugger reads.
#pragma once

#include <cstddef>
#include <span>

namespace klp::elf {

/// True when two ELF files, 32 or 64 bit, are equal in kind, section table, symbol table, relocations and contents byte
/// for byte, sections named .debug_*, .rel.debug_* or .rela.debug_* aside: these hold the path of the build directory
/// and line numbers. Nothing else refers to them, so such objects are linked into the same code and data. False is no
/// proof of a difference: an object with one debug section more has another section table. Errors: no little-endian ELF
/// file, tables that leave the file.
bool same_but_for_debug_info(std::span<const std::byte> a, std::span<const std::byte> b);

}  // namespace klp::elf
