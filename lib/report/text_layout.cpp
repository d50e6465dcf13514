#include "report/text_layout.h"

#include <algorithm>

#include <fmt/format.h>

namespace klp::report {
namespace {

/// One line of text, broken at blanks.
void wrap_line(std::string_view line, std::string_view first, const std::string& indent, std::string& out) {
  std::string current(first);
  bool has_word = false;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    if (word.empty()) continue;
    if (has_word && columns(current) + 1 + columns(word) > kTextWidth) {
      out += current + "\n";
      current = indent;
      has_word = false;
    }
    if (has_word) current += ' ';
    current += word;
    has_word = true;
  }
  out += current + "\n";
}

}  // namespace

std::string with_thousands(uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string counted(uint64_t number, std::string_view singular, std::string_view plural) {
  if (number == 1) return fmt::format("1 {}", singular);
  if (!plural.empty()) return fmt::format("{} {}", with_thousands(number), plural);
  return fmt::format("{} {}s", with_thousands(number), singular);
}

std::string wrapped(std::string_view first, std::string_view text) {
  const std::string indent(columns(first), ' ');
  std::string out;
  std::string_view lead = first;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  do {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool verbatim = !line.empty() && (line.front() == ' ' || line.front() == '\t');
    if (verbatim)
      out += fmt::format("{}{}\n", lead, line);
    else
      wrap_line(line, lead, indent, out);
    lead = indent;
  } while (!text.empty());
  return out;
}

std::string Paint::operator()(Ink ink, std::string_view text) const {
  if (!enabled_ || ink == Ink::plain) return std::string(text);
  const char* code = ink == Ink::strong ? "1"
                     : ink == Ink::good ? "1;32"
                     : ink == Ink::bad  ? "1;31"
                     : ink == Ink::warn ? "1;33"
                                        : "2";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

size_t columns(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = std::min(text.find('m', i), text.size() - 1);
      continue;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) ++count;
  }
  return count;
}

std::string padded(std::string text, size_t width) {
  const size_t have = columns(text);
  if (have < width) text.append(width - have, ' ');
  return text;
}

}  // namespace klp::report
