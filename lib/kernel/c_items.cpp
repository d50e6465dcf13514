// Brackets are counted; the branches of an #if start with the depth that it had. A condition that comes in the middle
// of a declaration ends the piece, which then counts as not understood; one inside of brackets becomes part of it.
#include "kernel/c_items.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "kernel/c_declarations.h"

namespace klp::kernel {
namespace {

/// The numbers that __COUNTER__ gave count on with each use in a header.
std::string_view without_counter(std::string_view word) {
  if (!word.starts_with("__UNIQUE_ID_") && !word.starts_with("__compiletime_assert_")) return word;
  while (word.back() >= '0' && word.back() <= '9') word.remove_suffix(1);
  return word;
}

class Splitter {
 public:
  Splitter(const TokenText& text, Blanks blanks, bool trust_columns = false)
      : tokens_(text.tokens()), blanks_(blanks), trust_columns_(trust_columns) {}

  std::vector<Item> run(bool* complete) {
    for (size_t at = 0; at < tokens_.size();) {
      const Token& token = tokens_[at];
      if (token.starts_line && token.is("#")) {
        size_t end = at + 1;
        while (end < tokens_.size() && !tokens_[end].starts_line) ++end;
        directive(
            {tokens_.begin() + static_cast<std::ptrdiff_t>(at), tokens_.begin() + static_cast<std::ptrdiff_t>(end)});
        at = end;
      } else {
        code(token);
        ++at;
      }
    }
    if (complete != nullptr) *complete = pending_.empty() && conditions_.empty();
    flush(ItemKind::other);
    return std::move(items_);
  }

 private:
  struct Condition {
    std::string text;
    int depth = 0;       ///< where each branch begins
    int end_depth = -1;  ///< where the first one ended
  };

  void directive(std::vector<Token> line) {
    const std::string_view word = line.size() > 1 ? line[1].text : std::string_view();
    Item item;
    item.kind = ItemKind::directive;
    if (word == "define" || word == "undef") {
      item.kind = word == "define" ? ItemKind::macro : ItemKind::undefine;
      if (line.size() > 2) item.names.push_back(line[2].text);
    } else if (word.starts_with("include")) {
      item.kind = ItemKind::include;
    } else if (word.starts_with("if") || word.starts_with("el") || word == "endif") {
      item.kind = ItemKind::condition;
      condition(word, line);
    } else if (word.empty()) {
      return;
    }
    item.tokens = std::move(line);
    add(std::move(item));
  }

  void condition(std::string_view word, const std::vector<Token>& line) {
    if (!pending_.empty() && depth_ == 0) flush(ItemKind::other);
    if (!pending_.empty()) pending_.insert(pending_.end(), line.begin(), line.end());
    std::string text;
    for (const Token& token : line) text.append(token.text).append(" ");
    if (word.starts_with("if")) {
      conditions_.push_back({text, depth_, -1});
    } else if (!conditions_.empty()) {
      end_branch(conditions_.back());
      if (word == "endif") {
        depth_ = conditions_.back().end_depth;
        conditions_.pop_back();
      } else {
        conditions_.back().text += text;
      }
    }
    context_ = 0;
    for (const Condition& c : conditions_) context_ = mixed(context_, c.text);
  }

  /// Each branch must leave the brackets as the first one did; a piece that is open in one and not in the other, or
  /// begins in both, is torn.
  void end_branch(Condition& condition) {
    if (condition.end_depth < 0) condition.end_depth = depth_;
    const bool begins_inside = condition.depth == 0 && depth_ > 0;
    if (depth_ != condition.end_depth || begins_inside) {
      flush(ItemKind::other);
      torn_ = true;
    }
    depth_ = condition.depth;
  }

  void code(const Token& token) {
    pending_.push_back(token);
    if (blanks_ == Blanks::ignored) pending_.back().text = without_counter(token.text);
    if (token.kind != TokenKind::punctuator) return;
    const char c = token.text.size() == 1 ? token.text[0] : '\0';
    if (c == '(' || c == '[' || c == '{') {
      if (c == '{' && depth_ == 0) has_body_ = has_body_ || is_function_head(pending_);
      ++depth_;
    } else if (c == ')' || c == ']' || c == '}') {
      depth_ = trust_columns_ && c == '}' && token.first_column ? 0 : depth_ - 1;
      if (depth_ < 0) torn_ = true, depth_ = 0;
      if (depth_ == 0 && c == '}' && (has_body_ || pending_.front().is("{") || torn_)) finish();
    } else if (c == ';' && depth_ == 0) {
      finish();
    }
  }

  void finish() {
    if (pending_.size() == 1 && pending_[0].is(";")) pending_.clear();
    flush(std::nullopt);
    torn_ = false;
  }

  void flush(std::optional<ItemKind> kind) {
    has_body_ = false;
    if (pending_.empty()) return;
    Item item;
    item.tokens = std::move(pending_);
    pending_.clear();
    if (torn_) kind = ItemKind::other;
    if (!kind) {
      Declaration declaration = classify(item.tokens);
      item.kind = declaration.kind;
      item.names = std::move(declaration.names);
    } else {
      item.kind = *kind;
    }
    add(std::move(item));
  }

  void add(Item item) {
    uint64_t digest = context_;
    for (size_t i = 0; i < item.tokens.size(); ++i) {
      if (i != 0 && blanks_ == Blanks::count && item.tokens[i].space_before) digest = mixed(digest, " ");
      digest = mixed(digest, item.tokens[i].text);
    }
    item.digest = mixed(digest, item.kind == ItemKind::other ? "?" : "");
    items_.push_back(std::move(item));
  }

  static uint64_t mixed(uint64_t digest, std::string_view text) {
    digest = (digest ^ text.size()) * 0x9e3779b97f4a7c15U;
    return (digest ^ (digest >> 29)) + std::hash<std::string_view>()(text);
  }

  const std::vector<Token>& tokens_;
  Blanks blanks_;
  bool trust_columns_;
  std::vector<Item> items_;
  std::vector<Token> pending_;
  std::vector<Condition> conditions_;
  uint64_t context_ = 0;
  int depth_ = 0;
  bool has_body_ = false, torn_ = false;
};

}  // namespace

std::vector<Item> split_items(const TokenText& text, Blanks blanks, bool* complete) {
  return Splitter(text, blanks).run(complete);
}

std::vector<Item> split_for_readers(const TokenText& text) {
  return Splitter(text, Blanks::ignored, true).run(nullptr);
}

}  // namespace klp::kernel
