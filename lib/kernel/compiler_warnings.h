// What the compiler and objtool warn of in a patched unit, but not in the original.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace klp::kernel {

/// The warnings of `patched`, the programs' messages for the patched unit, that `original` does not have: each once, in
/// their order, as "fs/x.c: in function f: warning: ... [-Wname]". Lines and columns are left out: they move, and under
/// line marks they are the original's. Empty when `patched` has no warning.
std::vector<std::string> new_warnings(std::string_view patched, std::string_view original);

}  // namespace klp::kernel
