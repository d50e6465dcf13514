// Code that tests a static key at run time.
#pragma once

#include <cstdint>
#include <vector>

#include "elf/elf_types.h"

namespace klp::arch {

/// For one static branch. Places are offsets in `test`, of PC-relative 32-bit fields that are zero.
struct KeyTestCode {
  std::vector<std::byte>
      jump;  ///< in the site's place, as long as it; its last four bytes are the distance to the test
  std::vector<std::byte> test;   ///< goes to `taken` as the key says, and back else; changes no register but the flags
  uint32_t key = 0;              ///< refers to the key, whose first four bytes are its count (struct static_key)
  uint32_t key_to_pc = 0;        ///< bytes from this field to the end of its instruction
  uint32_t taken = 0, back = 0;  ///< four bytes to the end of the instruction
};

}  // namespace klp::arch
