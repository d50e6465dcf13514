// One pass over the tokens: an item begins with the first token at depth 0 and ends with its ';', or with the brace
// that closes a function's body.
#include "kernel/definitions.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include <fmt/format.h>

#include "support/files.h"

namespace klp::kernel {
namespace {

using Kind = SourceDefinition::Kind;

constexpr unsigned kNear = 4;  // lines from one changed range to the next that count as one: fewer numbers to read

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

struct Token {
  std::string_view text;
  unsigned line = 0;
  bool at_start = false;  ///< in the first column
  bool is_name() const { return is_word(text[0]) && std::isdigit(static_cast<unsigned char>(text[0])) == 0; }
};

/// Tokens as far as they matter here: words, strings, single characters; a whole preprocessor line is one token.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  bool next(Token& token) {
    skip_blanks();
    if (at_ >= text_.size()) return false;
    const size_t start = at_;
    const bool at_start = start == 0 || text_[start - 1] == '\n';
    token.line = line_;
    if (text_[at_] == '#' && fresh_line_) {
      skip_directive();
    } else if (is_word(text_[at_])) {
      while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    } else if (text_[at_] == '"' || text_[at_] == '\'') {
      skip_quoted();
    } else {
      ++at_;
    }
    fresh_line_ = false;
    token.text = text_.substr(start, at_ - start);
    token.at_start = at_start;
    return true;
  }

  unsigned line() const { return line_; }

 private:
  bool ahead(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

  void step() {
    if (text_[at_++] == '\n') {
      ++line_;
      fresh_line_ = true;
    }
  }

  void skip_comment() {
    const bool block = ahead("/*");
    at_ += 2;
    while (at_ < text_.size() && !(block ? ahead("*/") : ahead("\n"))) step();
    if (block) at_ = std::min(at_ + 2, text_.size());
  }

  void skip_blanks() {
    while (at_ < text_.size()) {
      if (ahead("/*") || ahead("//")) {
        skip_comment();
      } else if (std::isspace(static_cast<unsigned char>(text_[at_])) != 0 || ahead("\\\n")) {
        step();
      } else {
        return;
      }
    }
  }

  void skip_quoted() {
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) step();
      step();
    }
    if (at_ < text_.size() && text_[at_] == quote) ++at_;
  }

  void skip_directive() {
    while (at_ < text_.size() && text_[at_] != '\n') {
      if (ahead("\\\n")) step();
      if (ahead("/*")) {
        skip_comment();
      } else {
        step();
      }
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  unsigned line_ = 1;
  bool fresh_line_ = true;
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : tokens_(text) {}

  std::vector<Definition> scan() {
    for (Token token; tokens_.next(token);) {
      if (token.text[0] == '#')
        directive(token);
      else
        take(token);
    }
    finish();
    return std::move(result_);
  }

 private:
  void directive(const Token& token) {
    Tokens inner(token.text.substr(1));
    Token word, name;
    if (!inner.next(word) || word.text != "define" || !inner.next(name)) return;
    Definition macro{Kind::macro, std::string(name.text), token.line, tokens_.line(), {}, {}};
    std::set<std::string> words;
    for (Token t; inner.next(t);) {
      macro.tokens.append(t.text).append(" ");
      if (t.is_name() && t.text != name.text) words.emplace(t.text);
    }
    macro.words.assign(words.begin(), words.end());
    result_.push_back(std::move(macro));
  }

  void take(const Token& token) {
    const char c = token.text[0];
    const bool top = braces_ == 0 && parens_ == 0;
    // A macro at file scope without a semicolon (module_init(f)) ends where the next definition begins.
    if (top && previous_ == ")" && token.at_start && token.is_name() && !token.text.starts_with("__")) finish();
    if (item_.tokens.empty()) item_.first = token.line;
    if (c == '}' && token.at_start) braces_ = 1, parens_ = 0;
    if (top) note_head(token);
    item_.last = token.line;
    item_.tokens.append(token.text).append(" ");
    if (token.is_name()) words_.push_back(token.text);
    if (c == '(') ++parens_;
    if (c == ')' && parens_ > 0) --parens_;
    if (c == '{' && parens_ == 0) ++braces_;
    if (c == '}' && parens_ == 0 && braces_ > 0) --braces_;
    if (argument_wanted_ && token.is_name() && top == false) take_argument(token);
    previous_ = token.text;
    if (braces_ == 0 && parens_ == 0 && (c == ';' || (c == '}' && item_.kind == Kind::function))) finish();
  }

  /// What stands before the body, the value or the semicolon says what an item is and how it is called.
  void note_head(const Token& token) {
    if (settled_) return;
    const char c = token.text[0];
    if (token.is_name()) {
      if (first_word_.empty() && token.text != "static" && token.text != "const") first_word_ = token.text;
      last_word_ = token.text;
    } else if (c == '(') {
      note_group();
    } else if (c == '{') {
      settle_body();
    } else if (c == '=' || c == '[' || c == ';') {
      settled_ = true;
      if (item_.name.empty()) item_.name = last_word_;
    }
  }

  /// The word before a parenthesis: the function's name, unless it is an attribute's.
  void note_group() {
    if (last_word_.empty() || (has_group_ && (!item_.name.starts_with("__") || last_word_.starts_with("__")))) return;
    item_.name = last_word_;
    argument_wanted_ = !has_group_ && first_word_ == last_word_;  // SYSCALL_DEFINE1(brk, ...)
    has_group_ = true;
  }

  void take_argument(const Token& token) {
    item_.name += fmt::format("({})", token.text);
    argument_wanted_ = false;
  }

  void settle_body() {
    settled_ = true;
    if (has_group_ && (previous_ == ")" || !is_type_word())) {
      item_.kind = Kind::function;
    } else if (is_type_word() || first_word_ == "typedef") {
      item_.kind = Kind::type;
      const bool named = last_word_ != first_word_ && last_word_ != "struct" && last_word_ != "union";
      item_.name = named ? fmt::format("{} {}", first_word_, last_word_) : "";
    } else {
      item_.name = last_word_;
    }
  }

  bool is_type_word() const { return first_word_ == "struct" || first_word_ == "union" || first_word_ == "enum"; }

  void finish() {
    argument_wanted_ = false;
    if (item_.tokens.size() > 2) {  // more than a stray semicolon
      std::sort(words_.begin(), words_.end());
      words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
      item_.words.assign(words_.begin(), words_.end());
      result_.push_back(std::move(item_));
    }
    item_ = {};
    words_.clear();
    first_word_ = last_word_ = previous_ = {};
    settled_ = has_group_ = false;
    braces_ = parens_ = 0;
  }

  Tokens tokens_;
  std::vector<Definition> result_;
  Definition item_;
  std::vector<std::string_view> words_;
  std::string_view first_word_, last_word_, previous_;
  bool settled_ = false, has_group_ = false, argument_wanted_ = false;
  int braces_ = 0, parens_ = 0;
};

/// The runs of added lines in the patched text; where lines only go, the one behind them.
std::vector<std::pair<unsigned, unsigned>> changed_lines(const std::vector<Hunk>& hunks) {
  std::vector<std::pair<unsigned, unsigned>> result;
  for (const Hunk& hunk : hunks) {
    unsigned line = hunk.new_count == 0 ? hunk.new_start + 1 : hunk.new_start;
    bool open = false;  // within a run
    const auto touch = [&](bool added) {
      if (!open) result.emplace_back(line, line);
      if (open && added) result.back().second = line;
      open = true;
    };
    for (const std::string& text : hunk.lines) {
      if (text[0] == '-') touch(false);
      if (text[0] == '+') {
        touch(true);
        ++line;
      } else if (text[0] == ' ') {
        open = false;
        ++line;
      }
    }
  }
  return result;
}

/// Identifiers of a text by line.
using WordsByLine = std::multimap<unsigned, std::string_view>;

WordsByLine words_by_line(std::string_view text) {
  WordsByLine result;
  Tokens tokens(text);
  for (Token token; tokens.next(token);) {
    if (token.is_name()) result.emplace(token.line, token.text);
  }
  return result;
}

void note_changed_words(const WordsByLine& words, SourceDefinition& definition) {
  for (const auto& [first, last] : definition.changed) {
    for (auto at = words.lower_bound(first); at != words.upper_bound(last); ++at)
      definition.changed_words.emplace_back(at->second, at->first);
  }
}

SourceDefinition joined(const std::string& file, const Definition* before, const Definition* after,
                        const std::vector<std::pair<unsigned, unsigned>>& lines) {
  const Definition& shown = after != nullptr ? *after : *before;
  SourceDefinition result{shown.kind, file, shown.name, 0, 0, 0, 0, {}, {}, shown.words};
  if (before != nullptr) {
    result.old_first = before->first;
    result.old_last = before->last;
    std::vector<std::string> words;
    std::set_union(before->words.begin(), before->words.end(), shown.words.begin(), shown.words.end(),
                   std::back_inserter(words));
    result.words = std::move(words);
  }
  if (after == nullptr) return result;
  result.first = after->first;
  result.last = after->last;
  if (before != nullptr && before->tokens == after->tokens) return result;
  for (const auto& [first, last] : lines) {
    if (first > after->last || last < after->first) continue;
    const unsigned begin = std::max(first, after->first), end = std::min(last, after->last);
    if (!result.changed.empty() && begin <= result.changed.back().second + kNear)
      result.changed.back().second = end;
    else
      result.changed.emplace_back(begin, end);
  }
  return result;
}

}  // namespace

std::vector<Definition> definitions(std::string_view text) {
  return Scanner(text).scan();
}

SourceChanges changed_definitions(const std::string& file, std::string_view original, std::string_view patched,
                                  const std::vector<Hunk>& hunks) {
  const std::vector<Definition> before = definitions(original);
  const std::vector<Definition> after = hunks.empty() && original == patched ? before : definitions(patched);
  std::map<std::pair<Kind, std::string_view>, std::vector<const Definition*>> old;
  for (const Definition& d : before) old[{d.kind, d.name}].push_back(&d);
  const auto lines = changed_lines(hunks);
  const WordsByLine words = hunks.empty() ? WordsByLine() : words_by_line(patched);
  std::map<std::pair<Kind, std::string_view>, size_t> used;
  SourceChanges result;
  for (const Definition& d : after) {
    const auto found = old.find({d.kind, d.name});
    const size_t n = used[{d.kind, d.name}]++;
    const bool there = found != old.end() && n < found->second.size();
    result.push_back(joined(file, there ? found->second[n] : nullptr, &d, lines));
    note_changed_words(words, result.back());
  }
  for (const auto& [key, list] : old) {
    for (size_t n = used[key]; n < list.size(); ++n) result.push_back(joined(file, list[n], nullptr, lines));
  }
  return result;
}

SourceChanges changed_definitions(const std::filesystem::path& original, const std::filesystem::path& patched,
                                  const std::vector<TouchedFile>& touched) {
  SourceChanges result;
  for (const TouchedFile& file : touched) {
    const std::string before = file.change == FileChange::added ? std::string() : read_file(original / file.old_path);
    const std::string after = file.change == FileChange::removed ? std::string() : read_file(patched / file.path);
    SourceChanges changes = changed_definitions(file.path, before, after, file.hunks);
    std::move(changes.begin(), changes.end(), std::back_inserter(result));
  }
  return result;
}

SourceChanges with_definitions_of(const std::string& file, const std::filesystem::path& original,
                                  SourceChanges changes) {
  std::error_code error;
  const bool known = std::any_of(changes.begin(), changes.end(), [&](const auto& d) { return d.file == file; });
  if (known || !std::filesystem::is_regular_file(original / file, error)) return changes;
  const std::string text = read_file(original / file);
  SourceChanges own = changed_definitions(file, text, text, {});
  std::move(own.begin(), own.end(), std::back_inserter(changes));
  return changes;
}

}  // namespace klp::kernel
