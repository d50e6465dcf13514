#include "kernel/definition_uses.h"

#include <algorithm>

namespace klp::kernel {
namespace {

bool is_tag_word(const Token& token) {
  return token.is("struct") || token.is("union");
}

bool is_typeof(const Token& token) {
  return token.is("typeof") || token.is("__typeof__") || token.is("__typeof");
}

/// A word that may be an attribute, and then is no member.
bool may_be_macro(std::string_view word) {
  return word.starts_with("__") || std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

/// Walks over the tokens of one piece.
class Reader {
 public:
  Reader(const Item& item, NameTable& names) : item_(item), tokens_(item.tokens), names_(names) {}

  DefinitionUses read() {
    result_.kind = item_.kind;
    result_.makes_code = item_.kind == ItemKind::other || item_.kind == ItemKind::include;
    result_.is_typedef = !tokens_.empty() && tokens_[0].is("typedef");
    for (const std::string_view name : item_.names) result_.names.push_back(names_.number(name));
    size_t first = 0;
    if (item_.kind == ItemKind::macro) first = read_parameters();
    if (item_.kind == ItemKind::include && tokens_.size() > 2 && !tokens_[2].is_identifier()) return std::move(result_);
    for (size_t i = first; i < tokens_.size(); ++i) look_at(i);
    result_.sort();
    return std::move(result_);
  }

 private:
  /// # define NAME (a, b) BODY: the position of the body.
  size_t read_parameters() {
    if (tokens_.size() < 4 || !tokens_[3].is("(") || tokens_[3].space_before) return 3;
    const size_t end = behind_group(tokens_, 3);
    for (size_t i = 4; i + 1 < end; ++i) {
      if (tokens_[i].is_identifier() || (tokens_[i].is("...") && !tokens_[i - 1].is_identifier()))
        parameters_.push_back(tokens_[i].text);
    }
    return end;
  }

  bool is_parameter(const Token& token) const { return parameter_index(token) < parameters_.size(); }

  uint32_t parameter_index(const Token& token) const {
    const std::string_view name = token.is("__VA_ARGS__") && !parameters_.empty() ? parameters_.back() : token.text;
    return static_cast<uint32_t>(std::find(parameters_.begin(), parameters_.end(), name) - parameters_.begin());
  }

  /// All calls that the word is in get it: what a macro makes of its argument may be another one's argument.
  void add_argument(size_t i, uint32_t number) {
    const bool parameter = is_parameter(tokens_[i]);
    const Token &before = tokens_[i == 0 ? 0 : i - 1], &after = tokens_[i + 1 < tokens_.size() ? i + 1 : i];
    const bool whole = (before.is("(") || before.is(",")) && (after.is(")") || after.is(","));
    for (size_t c = 0; c < calls_.size(); ++c) {
      if (calls_[c].callee < 0) continue;
      result_.arguments.push_back({static_cast<uint32_t>(calls_[c].callee), calls_[c].index, parameter,
                                   whole && c + 1 == calls_.size(), parameter ? parameter_index(tokens_[i]) : number});
    }
  }

  void look_at(size_t i) {
    const Token& token = tokens_[i];
    if (token.kind == TokenKind::punctuator) {
      bracket(i, token);
      return;
    }
    if (token.kind != TokenKind::identifier && token.kind != TokenKind::number) return;
    const uint32_t number = names_.number(token.text);
    add_argument(i, number);
    if (token.kind == TokenKind::number || is_keyword(token.text)) {
      if (is_typeof(token)) look_behind_typeof(i);
      // In a macro it is of what the macro is given, and so are the objects of the code that it is used in.
      if (token.is("__auto_type") && item_.kind != ItemKind::macro)
        result_.by_value.push_back(names_.number(kUnknownType));
      return;
    }
    const bool parameter = is_parameter(token);
    if (parameter) look_at_parameter(i);
    if (i > 0 && is_tag_word(tokens_[i - 1])) tag(i, number, parameter);
    const bool can_be_kept = item_.kind == ItemKind::function || item_.kind == ItemKind::variable;
    if (can_be_kept && depth_[0] == 0) result_.head.push_back(number);
    if (!parameter && !is_declared_here(i)) result_.uses.push_back(number);
  }

  void bracket(size_t i, const Token& token) {
    if (token.is("(")) {
      const bool call = i > 0 && tokens_[i - 1].is_identifier() && !is_keyword(tokens_[i - 1].text);
      const bool is_sizeof = i > 0 && (tokens_[i - 1].is("sizeof") || tokens_[i - 1].is("__alignof__"));
      const int64_t callee = call ? static_cast<int64_t>(names_.number(tokens_[i - 1].text)) : is_sizeof ? kSizeof : -1;
      calls_.push_back({callee, 0});
    } else if (token.is(")") && !calls_.empty()) {
      calls_.pop_back();
    } else if (token.is(",") && !calls_.empty()) {
      ++calls_.back().index;
    }
    if (token.is("{") || token.is("[") || token.is("(")) ++depth_[token.is("{") ? 0 : 1];
    if (token.is("}") || token.is("]") || token.is(")")) --depth_[token.is("}") ? 0 : 1];
  }

  /// The type's name at `i`: does what follows make an object of it?
  bool makes_object(size_t i) const {
    size_t next = i + 1;
    while (next < tokens_.size() && (tokens_[next].is("const") || tokens_[next].is("volatile") ||
                                     (tokens_[next].is_identifier() && tokens_[next].text.starts_with("__"))))
      ++next;
    // "struct x __attribute;" is rather a mistake of this reading than an object of it.
    if (next >= tokens_.size()) return item_.kind == ItemKind::macro;
    if (tokens_[next].is_identifier()) return !is_keyword(tokens_[next].text);
    if (tokens_[next].is("[") || tokens_[next].is("##")) return true;
    if (next > i + 1 && (tokens_[next].is(";") || tokens_[next].is("=") || tokens_[next].is(","))) return true;
    return tokens_[next].is(")") && next + 1 < tokens_.size() && tokens_[next + 1].is("{") && is_cast(i);
  }

  /// ( TYPE: not the parenthesis of an if or of a call.
  bool is_cast(size_t i) const {
    while (i > 0 && (is_tag_word(tokens_[i]) || tokens_[i - 1].is("const") || is_tag_word(tokens_[i - 1]))) --i;
    return i < 2 || !tokens_[i - 1].is("(") || !tokens_[i - 2].is_identifier();
  }

  void look_at_parameter(size_t i) {
    const Token& before = tokens_[i - 1];
    // x[...], .x and "x ## y" are no types.
    const bool is_type = !before.is(".") && !before.is("->") && !before.is("##") && i + 1 < tokens_.size() &&
                         !tokens_[i + 1].is("[") && !tokens_[i + 1].is("##");
    if (is_type && makes_object(i)) result_.type_parameters.push_back(parameter_index(tokens_[i]));
  }

  void tag(size_t i, uint32_t number, bool parameter) {
    if (makes_object(i)) {
      if (parameter) {
        result_.type_parameters.push_back(parameter_index(tokens_[i]));
      } else {
        result_.by_value.push_back(number);
      }
    }
    const bool ends_argument = i + 1 < tokens_.size() && (tokens_[i + 1].is(",") || tokens_[i + 1].is(")"));
    if (parameter || !ends_argument || (!calls_.empty() && calls_.back().callee == kSizeof)) return;
    for (const Call& call : calls_) {
      if (call.callee >= 0)
        result_.type_arguments.push_back({{static_cast<uint32_t>(call.callee), call.index}, number});
    }
  }

  /// typeof(struct x) y, and typeof(parameter) y in a macro; of an expression, typeof(*p) y, the type is not known,
  /// and of a variable, typeof(x) y, its declaration tells.
  void look_behind_typeof(size_t i) {
    if (i + 1 >= tokens_.size() || !tokens_[i + 1].is("(")) return;
    const size_t end = behind_group(tokens_, i + 1);
    if (end == 0 || end >= tokens_.size() || !makes_object(end - 1)) return;
    bool known = false;
    for (size_t at = i + 2; at + 1 < end; ++at) {
      if (!tokens_[at].is_identifier()) continue;
      known = known || is_parameter(tokens_[at]) || is_tag_word(tokens_[at]) || is_keyword(tokens_[at].text);
      if (is_parameter(tokens_[at]) && end == i + 4) result_.type_parameters.push_back(parameter_index(tokens_[at]));
      if (is_tag_word(tokens_[at - 1]) && !tokens_[at + 1].is("*"))
        result_.by_value.push_back(names_.number(tokens_[at].text));
    }
    if (!known) result_.by_value.push_back(names_.number(end == i + 4 ? tokens_[i + 2].text : kUnknownType));
  }

  /// A member or an enumerator that a type declares, or its own tag: it defines these names, it does not use them.
  bool is_declared_here(size_t i) const {
    if (item_.kind != ItemKind::type) return false;
    const Token& token = tokens_[i];
    if (std::find(item_.names.begin(), item_.names.end(), token.text) != item_.names.end()) return true;
    if (depth_[0] == 0 || depth_[1] != 0 || i + 1 >= tokens_.size() || may_be_macro(token.text)) return false;
    const Token &before = tokens_[i - 1], &next = tokens_[i + 1];
    const bool ends = next.is(";") || next.is(",") || next.is(":") || next.is("[");
    const bool declares = before.is_identifier() ? !before.is("struct") && !before.is("union") && !before.is("enum")
                                                 : before.is("*") || before.is(",");
    return ends && declares;
  }

  static constexpr int64_t kSizeof = -2;
  const Item& item_;
  const std::vector<Token>& tokens_;
  NameTable& names_;
  DefinitionUses result_;
  std::vector<std::string_view> parameters_;
  struct Call {
    int64_t callee;  ///< -1: a parenthesis, kSizeof
    uint32_t index;
  };
  std::vector<Call> calls_;  ///< open parentheses
  int depth_[2] = {0, 0};    ///< open braces; open parentheses and square brackets
};

template <typename T>
void make_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

void DefinitionUses::merge(const DefinitionUses& other) {
  append(uses, other.uses);
  append(by_value, other.by_value);
  append(type_arguments, other.type_arguments);
  append(arguments, other.arguments);
}

void DefinitionUses::sort() {
  make_unique(uses);
  make_unique(by_value);
  make_unique(arguments);
  make_unique(type_parameters);
  make_unique(type_arguments);
}

DefinitionUses uses_of(const Item& item, NameTable& names) {
  return Reader(item, names).read();
}

}  // namespace klp::kernel
