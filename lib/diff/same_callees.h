// Whether one function was compiled from the same decisions twice, by different options of code generation.
#pragma once

#include <optional>
#include <string>

#include "diff/pieces.h"

namespace klp::diff {

/// The first function or string that one of two versions of a function refers to and the other does not, as a sentence;
/// nothing when there is none. A compiler that inlines a function in one of them, or splits a part off, shows so.
/// Numbers and order of the references do not count, nor do variables: options of code generation change how these are
/// reached.
std::optional<std::string> other_references(const Pieces& for_module, const Piece& in_module, const Pieces& as_shipped,
                                            const Piece& shipped);

}  // namespace klp::diff
