// One pass over the characters. Parentheses are counted outside preprocessor lines only; the branches of an #if start
// with the depth that it had, because each of them may hold the same opening parenthesis. A function's closing brace at
// the beginning of a line puts a count right that macros have led astray.
#include "kernel/c_text.h"

#include <cctype>

namespace klp::kernel {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void scan() {
    begin_line();
    while (at_ < text_.size()) step();
    flush_line();
  }

  std::vector<LineState> states;
  std::string stripped;

 private:
  enum class Mode { code, line_comment, block_comment, string, character };

  bool next_is(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

  void step() {
    const char c = text_[at_];
    if (next_is("\\\n") || next_is("\\\r\n")) {
      at_ += next_is("\\\n") ? 2 : 3;
      continued_ = true;
      if (mode_ == Mode::code) put(' ');
      begin_line();
    } else if (c == '\n') {
      ++at_;
      end_line();
    } else if (mode_ == Mode::block_comment) {
      skip_comment();
    } else if (mode_ == Mode::line_comment) {
      ++at_;
    } else if (mode_ == Mode::code) {
      step_code(c);
    } else {
      step_quoted(c);
    }
  }

  void skip_comment() {
    if (!next_is("*/")) {
      ++at_;
      return;
    }
    at_ += 2;
    mode_ = Mode::code;
    put(' ');
  }

  void step_code(char c) {
    if (next_is("/*") || next_is("//")) {
      mode_ = next_is("/*") ? Mode::block_comment : Mode::line_comment;
      at_ += 2;
      return;
    }
    if (c == '"') mode_ = Mode::string;
    if (c == '\'') mode_ = Mode::character;
    if (!directive_ && c == '(') ++depth_;
    if (!directive_ && c == ')' && depth_ > 0) --depth_;
    put(c);
    ++at_;
  }

  void step_quoted(char c) {
    put_raw(c);
    ++at_;
    if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') {
      put_raw(text_[at_++]);
    } else if (c == (mode_ == Mode::string ? '"' : '\'')) {
      mode_ = Mode::code;
    }
  }

  void put(char c) {
    const bool blank = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (blank && (line_.empty() || line_.back() == ' ')) return;
    if (!blank && line_.empty() && c == '#') directive_ = true;
    line_ += blank ? ' ' : c;
  }
  void put_raw(char c) { line_ += c; }

  /// The end of a logical line, or a newline within a comment (which ends only the physical one).
  void end_line() {
    if (mode_ == Mode::block_comment) {
      continued_ = false;
      begin_line();
      return;
    }
    mode_ =
        Mode::code;  // an unfinished string or character ends here: the text of an #error, or code left out by #if 0
    branch_ended_ = directive_ && follow_directive();
    if (!directive_ && (line_ == "}" || line_ == "} " || line_ == "};")) depth_ = 0;
    flush_line();
    directive_ = false;
    continued_ = false;
    begin_line();
  }

  /// True after a line that ends a branch.
  bool follow_directive() {
    const size_t word = line_.find_first_not_of(" #");
    const std::string_view name = word == std::string::npos ? std::string_view() : std::string_view(line_).substr(word);
    if (name.starts_with("if")) {
      conditions_.push_back(depth_);
    } else if (name.starts_with("el") && !conditions_.empty()) {
      depth_ = conditions_.back();
      return true;
    } else if (name.starts_with("endif") && !conditions_.empty()) {
      conditions_.pop_back();
      return true;
    }
    return false;
  }

  void flush_line() {
    while (line_.ends_with(' ')) line_.pop_back();
    if (!line_.empty()) stripped.append(line_).append("\n");
    line_.clear();
  }

  void begin_line() {
    if (at_ >= text_.size()) return;
    states.push_back({continued_ || mode_ != Mode::code || depth_ > 0, branch_ended_});
    branch_ended_ = false;
  }

  std::string_view text_;
  size_t at_ = 0;
  Mode mode_ = Mode::code;
  bool directive_ = false;
  bool continued_ = false;
  bool branch_ended_ = false;
  int depth_ = 0;
  std::vector<int> conditions_;
  std::string line_;
};

}  // namespace

std::vector<LineState> scan_lines(std::string_view text) {
  Scanner scanner(text);
  scanner.scan();
  return std::move(scanner.states);
}

std::string without_comments(std::string_view text) {
  Scanner scanner(text);
  scanner.scan();
  return std::move(scanner.stripped);
}

}  // namespace klp::kernel
