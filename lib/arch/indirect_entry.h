// What a function begins with that may be called through a pointer.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace klp::arch {

/// x86_64 with CONFIG_X86_KERNEL_IBT: an indirect call or jump that does not meet an ENDBR64 is a fault. The kernel
/// takes the ENDBR64 out of the functions that `sealed_by` lists, by 32-bit distances from each entry to the function
/// (arch/x86/kernel/alternative.c, 6.12). A kernel without
/// the section does not check. Empty on an architecture that has nothing of the kind.
struct IndirectEntry {
  std::span<const std::byte> mark;
  std::string_view sealed_by;
};

}  // namespace klp::arch
