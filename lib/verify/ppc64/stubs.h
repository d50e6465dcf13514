// The stubs through which calls leave a module of ppc64 (arch/powerpc/kernel/module_64.c, Linux 6.1): they are found
// and made in the memory of .stubs, as the kernel does it.
#pragma once

#include <string_view>

#include "verify/load_state.h"

namespace klp::verify::ppc64 {

inline constexpr uint64_t kStubSize = 40;    // struct ppc64_stub_entry: 7 instructions, a mark, an address
inline constexpr uint64_t kStubTarget = 32;  // ... of the address
inline constexpr uint32_t kStubMagic = 0x73747562;

struct StubTarget {
  uint64_t address = 0;
  bool known = true;      ///< else `address` only tells targets apart
  std::string_view name;  ///< ftrace's functions have stubs of another kind
};

/// Whether calls of this name are ftrace's (is_mprofile_ftrace_call).
bool is_ftrace_call(const LoadState& state, std::string_view name);

/// The stub that leads to `target`, made when there is none. `r2` is the module's. Unpredictable: none is free.
uint64_t stub_for(LoadState& state, StateSection& stubs, uint64_t r2, const StubTarget& target);

/// The first stub that leads nowhere.
uint64_t first_free(const StateSection& stubs);

/// How many bytes of stubs the module gets; sorts the file's relocations (get_stubs_size).
uint64_t arrange_relocations(LoadState& state);

/// The kernel's sort is not stable: in a section of relocations that it keeps, marks where those stand that are alike
/// but for their places.
void mark_order(StateSection& relocations);

}  // namespace klp::verify::ppc64
