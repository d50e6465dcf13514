// Line marks: #line directives that keep the numbers of the lines that a patch only moves.
//
// A WARN, an assertion or a static local's debug information below a hunk holds the number of its line. Without marks
// every such function would look changed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/patch_set.h"

namespace klp::kernel {

/// The patched file's text with "#line N" before lines that came from line N of the original but would be counted
/// differently. `hunks` say where the patched text differs, as they really lie in it (diff's output, not the patch's
/// numbers). No mark is put inside a macro's definition, within parentheses, a comment or a string; there the next
/// possible line gets it. The name of the file is left as it is, so __FILE__ does not change. Equal to `patched` when
/// no line moved.
std::string add_line_marks(std::string_view patched, const std::vector<Hunk>& hunks);

}  // namespace klp::kernel
