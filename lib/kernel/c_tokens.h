// A C source as preprocessing tokens: what proofs about headers compare. No macro is expanded, no condition evaluated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace klp::kernel {

enum class TokenKind : uint8_t { identifier, number, string, character, punctuator };

struct Token {
  std::string_view text;  ///< of the TokenText that it came from
  TokenKind kind = TokenKind::punctuator;
  bool space_before = false;  ///< a blank, a comment or a line end: # makes a string of it, and it ends a macro's name
  bool starts_line = false;   ///< the first of its logical line (continued lines are one)
  bool first_column = false;  ///< nothing stands before it in its line
  uint32_t line = 0;          ///< of the text as it was given, 1-based

  bool is(std::string_view what) const { return text == what; }
  bool is_identifier() const { return kind == TokenKind::identifier; }
};

/// A text and its tokens (C17 6.4: longest match, continued lines joined first, comments are blanks). A string or
/// character that does not end on its line ends with the line, as in the text of an #error or in assembly. Movable; the
/// tokens stay valid.
class TokenText {
 public:
  explicit TokenText(std::string text);
  const std::vector<Token>& tokens() const { return tokens_; }
  const std::string& text() const { return *text_; }  ///< that the tokens point into: with continued lines joined

 private:
  std::unique_ptr<const std::string> text_;  // tokens point into it
  std::vector<Token> tokens_;
};

}  // namespace klp::kernel
