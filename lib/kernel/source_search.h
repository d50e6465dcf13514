// Which file of a source tree defines a name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "support/files.h"

namespace klp::kernel {

/// For each of `names` the file (relative to `tree`) that defines a function or variable of that name, as kernel style
/// writes it: the name stands in a line that is not indented, and a body, a value or a semicolon follows. Empty where
/// there is none. Looks in the directory `near` first and then in all that the kernel is compiled from; a whole tree
/// takes seconds. A definition through a macro is not found.
std::vector<std::string> defining_files(const fs::path& tree, const std::string& near,
                                        const std::vector<std::string>& names);

/// Whether C text defines `name` in that way.
bool defines(std::string_view text, std::string_view name);

}  // namespace klp::kernel
