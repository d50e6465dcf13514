// A C source as lines and the little of C that line marks and comparisons of headers need: comments, strings,
// parentheses, preprocessor lines. No macro is expanded and no condition evaluated.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace klp::kernel {

/// What is known about the beginning of one line.
struct LineState {
  bool inside = false;  ///< within a comment, a string, a line continued by '\', or open parentheses: nothing may be
                        ///< put before it
  bool after_branch = false;  ///< the line before is an #else, #elif or #endif
};

/// One state a line of `text`, by index; lines end with '\n'.
std::vector<LineState> scan_lines(std::string_view text);

/// `text` without comments, with runs of blanks as one blank and without empty lines: equal results mean that no
/// compiler sees a difference, apart from line numbers.
std::string without_comments(std::string_view text);

}  // namespace klp::kernel
