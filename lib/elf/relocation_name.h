// Names of relocation types, for messages and reports.
#pragma once

#include <cstdint>
#include <string>

namespace klp::elf {

/// "R_X86_64_PC32"; a type that is not known: "type 99".
std::string relocation_name(uint16_t machine, uint32_t type);

}  // namespace klp::elf
