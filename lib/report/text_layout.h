// Laying out text for people: width, wrapping, numbers, colour.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace klp::report {

inline constexpr size_t kTextWidth = 120;  ///< columns

/// "1,234,567".
std::string with_thousands(uint64_t number);

/// "1 function", "2 functions".
std::string counted(uint64_t number, std::string_view singular, std::string_view plural = {});

/// Breaks `text` at blanks into lines of at most kTextWidth columns: the first one begins with `first`, the others with
/// as many blanks. Line feeds in the text stay; lines of it that begin with a blank or tab (source, compiler output)
/// are not broken. Ends with a line feed.
std::string wrapped(std::string_view first, std::string_view text);

enum class Ink { plain, strong, good, bad, warn, faint };

/// Puts colour around text, or nothing.
class Paint {
 public:
  explicit Paint(bool enabled) : enabled_(enabled) {}
  std::string operator()(Ink ink, std::string_view text) const;

 private:
  bool enabled_;
};

/// Columns of a UTF-8 text, escape sequences of colour not counted.
size_t columns(std::string_view text);

/// `text` filled with blanks to `width` columns.
std::string padded(std::string text, size_t width);

}  // namespace klp::report
