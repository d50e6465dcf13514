// One pass over the characters, after continued lines have been joined.
#include "kernel/c_tokens.h"

#include <algorithm>
#include <array>

namespace klp::kernel {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/// `joints`: where in the result a line went on.
std::string joined_lines(std::string text, std::vector<size_t>& joints) {
  if (text.find("\\\n") == std::string::npos && text.find("\\\r\n") == std::string::npos) return text;
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t end = text[at] != '\\'                       ? 0
                       : text.compare(at + 1, 1, "\n") == 0   ? 1
                       : text.compare(at + 1, 2, "\r\n") == 0 ? 2
                                                              : 0;
    if (end != 0) {
      at += end;
      joints.push_back(result.size());
    } else {
      result += text[at];
    }
  }
  return result;
}

/// Longest match among the punctuators of more than one character.
size_t punctuator_size(std::string_view rest) {
  constexpr std::array<std::string_view, 4> kThree = {"...", "<<=", ">>=", "%:%"};
  constexpr std::array<std::string_view, 20> kTwo = {"##", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=",
                                                     "&&", "||", "*=", "/=", "%=", "+=", "-=", "&=", "^=", "|="};
  constexpr std::string_view kSecond = ".<>:#+-=&|";  // that one of them goes on with
  if (rest.size() < 2 || kSecond.find(rest[1]) == kSecond.npos) return 1;
  const auto begins = [&](std::string_view p) { return rest.starts_with(p); };
  if (std::any_of(kThree.begin(), kThree.end(), begins)) return 3;
  return std::any_of(kTwo.begin(), kTwo.end(), begins) ? 2 : 1;
}

class Lexer {
 public:
  Lexer(std::string_view text, const std::vector<size_t>& joints) : text_(text), joints_(joints) {}

  std::vector<Token> run() {
    tokens_.reserve(text_.size() / 5);
    while (skip_space()) next();
    return std::move(tokens_);
  }

 private:
  char peek(size_t offset = 0) const { return at_ + offset < text_.size() ? text_[at_ + offset] : '\0'; }

  /// False at the end of the text.
  bool skip_space() {
    for (; at_ < text_.size(); space_ = true) {
      const char c = text_[at_];
      if (c == '\n') {
        ++at_;
        ++line_;
        line_start_ = true;
      } else if (is_blank(c)) {
        ++at_;
      } else if (c == '/' && peek(1) == '*') {
        const size_t end = text_.find("*/", at_ + 2);
        const std::string_view comment = text_.substr(at_, end == text_.npos ? end : end + 2 - at_);
        line_ += static_cast<uint32_t>(std::count(comment.begin(), comment.end(), '\n'));
        at_ += comment.size();
      } else if (c == '/' && peek(1) == '/') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        return true;
      }
    }
    return false;
  }

  void next() {
    const char c = text_[at_];
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      add(TokenKind::number, number_size());
    } else if (is_word(c)) {
      size_t end = at_ + 1;
      while (end < text_.size() && is_word(text_[end])) ++end;
      add(TokenKind::identifier, end - at_);
    } else if (c == '"' || c == '\'') {
      add(c == '"' ? TokenKind::string : TokenKind::character, quoted_size(c));
    } else {
      add(TokenKind::punctuator, punctuator_size(text_.substr(at_)));
    }
  }

  /// A preprocessing number holds letters, and a sign behind an exponent's.
  size_t number_size() const {
    size_t end = at_ + 1;
    for (; end < text_.size(); ++end) {
      const char c = text_[end], before = text_[end - 1];
      const bool sign = (c == '+' || c == '-') && (before == 'e' || before == 'E' || before == 'p' || before == 'P');
      if (!is_word(c) && c != '.' && !sign) break;
    }
    return end - at_;
  }

  size_t quoted_size(char quote) const {
    size_t end = at_ + 1;
    for (; end < text_.size() && text_[end] != '\n'; ++end) {
      if (text_[end] == '\\' && end + 1 < text_.size() && text_[end + 1] != '\n') {
        ++end;
      } else if (text_[end] == quote) {
        return end + 1 - at_;
      }
    }
    return end - at_;
  }

  void add(TokenKind kind, size_t size) {
    for (; joint_ < joints_.size() && joints_[joint_] <= at_; ++joint_) ++line_;
    const bool first_column = at_ == 0 || text_[at_ - 1] == '\n';
    tokens_.push_back({text_.substr(at_, size), kind, space_, line_start_, first_column, line_});
    at_ += size;
    space_ = false;
    line_start_ = false;
  }

  std::string_view text_;
  const std::vector<size_t>& joints_;
  size_t at_ = 0, joint_ = 0;
  uint32_t line_ = 1;
  bool space_ = true;
  bool line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

TokenText::TokenText(std::string text) {
  std::vector<size_t> joints;
  text_ = std::make_unique<const std::string>(joined_lines(std::move(text), joints));
  tokens_ = Lexer(*text_, joints).run();
}

}  // namespace klp::kernel
