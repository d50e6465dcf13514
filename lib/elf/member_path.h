// Which member of a variable lies at an offset.
#pragma once

#include <string>

#include "elf/types.h"

namespace klp::elf {

struct MemberPlace {
  std::string path;     ///< from the variable on: ".driver.pm", "[3].name"; empty: the variable itself
  uint64_t offset = 0;  ///< of the member in the variable, in bytes
  uint64_t size = 0;    ///< in bytes; 0 when it is not known
};

/// The innermost member at `offset` bytes of a variable of that type; of a union, the first that reaches so far. Where
/// no member is (padding, bit-fields), the struct around it.
MemberPlace member_at(const TypeTable& types, TypeId type, uint64_t offset);

}  // namespace klp::elf
