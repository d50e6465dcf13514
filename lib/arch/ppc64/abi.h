// What several parts need of the 64-bit ELF V2 ABI.
#pragma once

#include <elf.h>

#include <cstdint>

#include "elf/elf_object.h"

namespace klp::arch::ppc64_abi {

/// Whether a field holds a distance from r2, or half of one. (R_PPC64_TOC16_HI is none that gcc makes for kernel code,
/// and none that the module loader takes.)
inline bool is_toc_offset(uint32_t type) {
  switch (type) {
    case R_PPC64_TOC16:
    case R_PPC64_TOC16_LO:
    case R_PPC64_TOC16_HA:
    case R_PPC64_TOC16_DS:
    case R_PPC64_TOC16_LO_DS:
      return true;
    default:
      return false;
  }
}

/// Distance from a function's global to its local entry point (3.4.1: the three most significant bits of st_other).
inline uint64_t local_entry(const elf::Symbol& function) {
  return ((uint64_t{1} << (function.other >> 5)) >> 2) << 2;
}

}  // namespace klp::arch::ppc64_abi
