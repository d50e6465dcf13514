// Each line of the patched file is either new or comes from a line of the original. Walking down, the number that the
// compiler would give a line is tracked; where it differs from the original's, and a directive may stand, a mark is
// set.
//
// A mark in a branch that the preprocessor skips has no effect, so after the end of a branch nothing is known about the
// count once a mark was set: the next original line gets one whatever the count seems to be.
#include "kernel/line_marks.h"

#include <fmt/format.h>

#include "kernel/c_text.h"

namespace klp::kernel {
namespace {

/// For each patched line (by index) the number of its original line; 0: the line is new.
std::vector<unsigned> original_numbers(size_t line_count, const std::vector<Hunk>& hunks) {
  std::vector<unsigned> result(line_count, 0);
  unsigned original = 1;
  size_t patched = 0;
  const auto copy_one = [&] {
    if (patched < line_count) result[patched++] = original;
    ++original;
  };
  for (const Hunk& hunk : hunks) {
    // With no line of the patched side, the header names the line before.
    const size_t start = hunk.new_count == 0 ? hunk.new_start : hunk.new_start - 1;
    while (patched < start && patched < line_count) copy_one();
    for (const std::string& line : hunk.lines) {
      if (line[0] == '-') ++original;
      if (line[0] == '+') ++patched;
      if (line[0] == ' ') copy_one();
    }
  }
  while (patched < line_count) copy_one();
  return result;
}

}  // namespace

std::string add_line_marks(std::string_view patched, const std::vector<Hunk>& hunks) {
  const std::vector<LineState> states = scan_lines(patched);
  const std::vector<unsigned> numbers = original_numbers(states.size(), hunks);
  std::string result;
  unsigned shown = 1;
  bool any_mark = false, unknown = false;
  for (size_t i = 0; i < states.size(); ++i, ++shown) {
    unknown = unknown || (states[i].after_branch && any_mark);
    if (numbers[i] != 0 && (shown != numbers[i] || unknown) && !states[i].inside) {
      result += fmt::format("#line {}\n", numbers[i]);
      shown = numbers[i];
      any_mark = true;
      unknown = false;
    }
    const size_t end = patched.find('\n');
    result += patched.substr(0, end == std::string_view::npos ? patched.size() : end + 1);
    patched.remove_prefix(end == std::string_view::npos ? patched.size() : end + 1);
  }
  return result;
}

}  // namespace klp::kernel
