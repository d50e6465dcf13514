// Static branches in the compiler's assembly, with sites of five bytes.
//
// Since Linux 5.14 the assembler makes the site of a static branch two or five bytes long, as the distance asks
// (arch/x86/include/asm/jump_label.h). A test of the key needs five (lib/diff/key_tests.h). Only the assembler may
// learn of it: gcc writes other code when as much as a constant of the inline assembly differs.
#pragma once

#include <string>
#include <string_view>

namespace klp::arch {

/// The assembly with the long form of every jump that a jump label's entry belongs to. Everything else stays as it is,
/// to the byte.
std::string with_long_branches(std::string_view assembly);

}  // namespace klp::arch
