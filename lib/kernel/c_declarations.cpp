// One look at the words outside of all brackets tells most; a declarator is what stands before ';', ',', '=', '[', ':'
// or '('.
#include "kernel/c_declarations.h"

#include <algorithm>
#include <unordered_set>

namespace klp::kernel {
namespace {

using Words = std::unordered_set<std::string_view>;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_tag_word(const Token& token) {
  return is_one_of(token.text, {"struct", "union", "enum"});
}

bool is_open(const Token& token) {
  return token.is("(") || token.is("[") || token.is("{");
}

bool is_attribute(std::string_view word) {
  static const Words kAttributes = {"__attribute__",
                                    "__attribute",
                                    "__printf",
                                    "__scanf",
                                    "__acquires",
                                    "__releases",
                                    "__acquire",
                                    "__release",
                                    "__cond_acquires",
                                    "__cond_lock",
                                    "__must_hold",
                                    "__aligned",
                                    "__section",
                                    "__alloc_size",
                                    "__assume_aligned",
                                    "__asm__",
                                    "asm",
                                    "__asm",
                                    "__nonnull",
                                    "__malloc",
                                    "__counted_by",
                                    "__copy",
                                    "__no_sanitize",
                                    "__init",
                                    "__exit",
                                    "__initdata",
                                    "__initconst",
                                    "__read_mostly",
                                    "__ro_after_init",
                                    "__percpu",
                                    "__user",
                                    "__iomem",
                                    "__rcu",
                                    "__force",
                                    "__must_check",
                                    "__pure",
                                    "__attribute_const__",
                                    "__noreturn",
                                    "__cold",
                                    "__hot",
                                    "__maybe_unused",
                                    "__always_unused",
                                    "__weak",
                                    "__visible",
                                    "__randomize_layout",
                                    "__no_randomize_layout",
                                    "__packed",
                                    "____cacheline_aligned",
                                    "____cacheline_aligned_in_smp",
                                    "____cacheline_internodealigned_in_smp",
                                    "__cacheline_aligned",
                                    "__cacheline_aligned_in_smp",
                                    "__deprecated",
                                    "__latent_entropy",
                                    "__cpuidle",
                                    "__sched",
                                    "__lockfunc",
                                    "__ref",
                                    "__meminit",
                                    "__no_kcsan",
                                    "__no_kasan_or_inline",
                                    "__kprobes",
                                    "nokprobe_inline",
                                    "notrace",
                                    "noinline",
                                    "noinstr",
                                    "asmlinkage",
                                    "__init_or_module",
                                    "__noclone",
                                    "__flatten",
                                    "__bitwise",
                                    "__nocast",
                                    "__extension__",
                                    "__always_inline",
                                    "inline",
                                    "__inline",
                                    "__inline__",
                                    "__gnu_inline",
                                    "__restrict",
                                    "__designated_init",
                                    "__net_init",
                                    "__net_exit",
                                    "__bpf_kfunc",
                                    "noinline_for_stack",
                                    "__mode"};
  return kAttributes.count(word) != 0;
}

/// A word that says nothing about which type: a macro's name may follow it.
bool is_storage(const Token& token) {
  return is_one_of(token.text, {"static", "extern", "const", "volatile", "register", "inline", "*"}) ||
         token.text.starts_with("__");
}

/// What a piece looks like from outside its brackets.
struct Outline {
  const std::vector<Token>& tokens;
  std::vector<size_t> outer;  ///< positions outside of all brackets, and of brackets that open from there
  std::vector<size_t> calls;  ///< of words directly before a '(' that are neither keyword nor attribute
  bool assigns = false, has_static = false, has_extern = false, has_inline = false;
  size_t braces = 0;  ///< position of the first '{' at the outside; 0: none

  explicit Outline(const std::vector<Token>& piece) : tokens(piece) {
    for (size_t i = 0; i < tokens.size();) {
      outer.push_back(i);
      const Token& token = tokens[i];
      look_at(i, token);
      i = is_open(token) ? behind_group(tokens, i) : i + 1;
    }
  }

  void look_at(size_t i, const Token& token) {
    if (token.is("=")) assigns = true;
    if (token.is("{") && braces == 0) braces = i;
    if (braces != 0) return;
    has_static = has_static || token.is("static");
    has_extern = has_extern || token.is("extern");
    has_inline = has_inline || is_one_of(token.text, {"inline", "__inline", "__inline__", "__always_inline",
                                                      "nokprobe_inline", "__no_kasan_or_inline"});
    if (token.is_identifier() && !assigns && i + 1 < tokens.size() && tokens[i + 1].is("(") &&
        !is_keyword(token.text) && !is_attribute(token.text))
      calls.push_back(i);
  }

  /// Whether a macro's call stands before the storage class: what it makes is not known.
  bool begins_with_call() const {
    if (calls.empty()) return false;
    return std::none_of(outer.begin(), outer.end(), [&](size_t i) {
      return i < calls.front() && is_one_of(tokens[i].text, {"static", "extern", "typedef"});
    });
  }

  /// Whether something that can be a type stands before the token at `position`, at the outside.
  bool type_before(size_t position) const {
    return std::any_of(outer.begin(), outer.end(), [&](size_t i) {
      return i < position && (tokens[i].is_identifier()) && !is_storage(tokens[i]) && !is_attribute(tokens[i].text);
    });
  }
};

void add_tags_and_enumerators(const std::vector<Token>& tokens, std::vector<std::string_view>& names) {
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!is_tag_word(tokens[i])) continue;
    size_t at = i + 1;
    while (at < tokens.size() && is_attribute(tokens[at].text))
      at = at + 1 < tokens.size() && tokens[at + 1].is("(") ? behind_group(tokens, at + 1) : at + 1;
    if (at + 1 < tokens.size() && tokens[at].is_identifier() && tokens[at + 1].is("{"))
      names.push_back(tokens[at].text);
  }
  for (const Enumerator& e : enumerators(tokens)) names.push_back(e.name);
}

/// `x` in "(*x)", "(* const x)", and in "(x)(...)" at the outside.
void add_bracketed_declarator(const std::vector<Token>& tokens, size_t open, std::vector<std::string_view>& names) {
  const size_t end = behind_group(tokens, open);
  const bool pointer = open + 1 < tokens.size() && tokens[open + 1].is("*");
  if (!pointer && (end >= tokens.size() || !tokens[end].is("("))) return;
  for (size_t at = open + 1; at < end; ++at) {
    if (!tokens[at].is_identifier() || is_keyword(tokens[at].text) || is_attribute(tokens[at].text)) continue;
    names.push_back(tokens[at].text);
    return;
  }
}

/// Whether what stands before the token at `index` of the outer ones can be a type: else it is a type itself.
bool has_type(const Outline& outline, size_t index) {
  for (size_t i = 0; i < index; ++i) {
    const Token& token = outline.tokens[outline.outer[i]];
    const bool storage = is_one_of(token.text, {"typedef", "static", "extern", "register", "inline", "__inline",
                                                "__inline__", "const", "volatile"});
    if (token.is_identifier() && !storage && !is_attribute(token.text)) return true;
  }
  return false;
}

/// The declarator at `index` of the outer tokens; when it looks like an attribute, what stands before it too.
void add_declarator(const Outline& outline, size_t index, std::vector<std::string_view>& names) {
  for (size_t i = index + 1; i-- > 0;) {
    const Token& token = outline.tokens[outline.outer[i]];
    if (is_open(token)) continue;
    if (!token.is_identifier() || is_keyword(token.text)) return;
    if (i > 0 && is_tag_word(outline.tokens[outline.outer[i - 1]])) return;
    if (i < index && !has_type(outline, i)) return;
    if (!is_attribute(token.text)) names.push_back(token.text);
    if (!token.text.starts_with("__")) return;
  }
}

std::vector<std::string_view> declared(const Outline& outline) {
  std::vector<std::string_view> names;
  const std::vector<Token>& tokens = outline.tokens;
  for (size_t index = 0; index < outline.outer.size(); ++index) {
    const size_t i = outline.outer[index];
    if (tokens[i].is("=")) {
      // An initialiser, up to the next declarator.
      while (index + 1 < outline.outer.size() && !tokens[outline.outer[index + 1]].is(",")) ++index;
      continue;
    }
    if (tokens[i].is("(") && (i == 0 || !is_attribute(tokens[i - 1].text))) add_bracketed_declarator(tokens, i, names);
    if (tokens[i].is_identifier() && i + 1 < tokens.size() &&
        is_one_of(tokens[i + 1].text, {";", ",", "=", "[", "(", ":"}))
      add_declarator(outline, index, names);
  }
  return names;
}

std::vector<std::string_view> all_words(const std::vector<Token>& tokens) {
  std::vector<std::string_view> names;
  for (const Token& token : tokens) {
    if (token.is_identifier() && !is_keyword(token.text) && !is_attribute(token.text)) names.push_back(token.text);
  }
  return names;
}

/// Behind the members of a type only attributes may stand; another word would be a variable.
bool only_attributes_behind(const Outline& outline) {
  bool behind = false;
  for (const size_t i : outline.outer) {
    const Token& token = outline.tokens[i];
    if (behind && token.is_identifier() && !token.text.starts_with("__")) return false;
    if (behind && (token.is("{") || token.is("*") || token.is("["))) return false;
    if (i == outline.braces) behind = true;
  }
  return true;
}

Declaration classify_type(const Outline& outline) {
  Declaration result{ItemKind::type, {}};
  const bool is_typedef = outline.tokens[0].is("typedef");
  if (!is_typedef && !only_attributes_behind(outline)) return {};
  if (is_typedef) result.names = declared(outline);
  add_tags_and_enumerators(outline.tokens, result.names);
  return result;
}

Declaration classify_function(const Outline& outline) {
  if ((!outline.has_static && !outline.has_extern) || !outline.has_inline || outline.calls.size() != 1 ||
      outline.begins_with_call())
    return {};
  return {ItemKind::function, {outline.tokens[outline.calls[0]].text}};
}

bool is_upper(const Outline& outline, size_t position) {
  const std::string_view word = outline.tokens[position].text;
  return std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

/// Where a macro makes the declaration, any of its arguments may be what it declares.
Declaration classify_declaration(const Outline& outline, ItemKind kind) {
  const bool by_macro = !outline.calls.empty() &&
                        (!outline.type_before(outline.calls.front()) || is_upper(outline, outline.calls.front()));
  std::vector<std::string_view> names = declared(outline);
  if (by_macro) {
    const std::vector<std::string_view> all = all_words(outline.tokens);
    names.insert(names.end(), all.begin(), all.end());
  }
  add_tags_and_enumerators(outline.tokens, names);
  return {kind, std::move(names)};
}

}  // namespace

bool is_keyword(std::string_view word) {
  static const Words kKeywords = {"auto",           "break",         "case",        "char",
                                  "const",          "continue",      "default",     "do",
                                  "double",         "else",          "enum",        "extern",
                                  "float",          "for",           "goto",        "if",
                                  "inline",         "int",           "long",        "register",
                                  "restrict",       "return",        "short",       "signed",
                                  "sizeof",         "static",        "struct",      "switch",
                                  "typedef",        "union",         "unsigned",    "void",
                                  "volatile",       "while",         "_Bool",       "_Alignof",
                                  "_Static_assert", "_Generic",      "typeof",      "__typeof__",
                                  "__typeof",       "__signed__",    "__const",     "__volatile__",
                                  "__int128",       "_Thread_local", "__auto_type", "__alignof__"};
  return kKeywords.count(word) != 0;
}

size_t behind_group(const std::vector<Token>& tokens, size_t open) {
  int depth = 0;
  for (size_t i = open; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    if (token.kind != TokenKind::punctuator) continue;
    if (is_open(token)) ++depth;
    if ((token.is(")") || token.is("]") || token.is("}")) && --depth == 0) return i + 1;
  }
  return tokens.size();
}

bool is_function_head(const std::vector<Token>& head) {
  const size_t brace = head.size() - 1;
  size_t first = 0;
  while (first < brace && is_one_of(head[first].text, {"typedef", "static", "extern", "const"})) ++first;
  // struct {, struct x {, struct __attribute__((y)) x {
  if (is_tag_word(head[first]) &&
      (first + 2 >= brace || (is_attribute(head[first + 1].text) && head[first + 1].text.starts_with("__"))))
    return false;
  const Outline outline(head);
  if (outline.assigns || brace == 0) return false;
  return std::any_of(outline.outer.begin(), outline.outer.end(), [&](size_t i) { return head[i].is("("); });
}

namespace {

/// What a piece declares first: "(*x[])(...)" rather than what stands before the parenthesis, and no attribute.
std::string first_declared(const Outline& outline) {
  std::vector<std::string_view> names;
  for (const size_t i : outline.outer) {
    const Token& token = outline.tokens[i];
    if (!names.empty() || token.is("=") || token.is("{")) break;
    if (token.is("(") && i + 1 < outline.tokens.size() && outline.tokens[i + 1].is("*"))
      add_bracketed_declarator(outline.tokens, i, names);
  }
  if (names.empty()) names = declared(outline);
  const auto plain = std::find_if(names.begin(), names.end(), [](std::string_view n) { return !n.starts_with("__"); });
  if (names.empty()) return {};
  const std::string_view name = plain != names.end() ? *plain : names.front();
  for (size_t at = 0; at + 1 < outline.outer.size(); ++at) {
    const size_t open = outline.outer[at] + 1;
    if (outline.tokens[open - 1].text.data() != name.data() || has_type(outline, at) || !outline.tokens[open].is("("))
      continue;
    // A macro's call, as in SYSCALL_DEFINE1(brk, ...).
    const auto end = outline.tokens.begin() + static_cast<std::ptrdiff_t>(behind_group(outline.tokens, open));
    const auto argument = std::find_if(outline.tokens.begin() + static_cast<std::ptrdiff_t>(open), end,
                                       [](const Token& t) { return t.is_identifier(); });
    if (argument != end) return std::string(name).append("(").append(argument->text).append(")");
  }
  return std::string(name);
}

/// "struct x" of a type with members; empty when it has no tag.
std::string title_of_type(const Outline& outline) {
  std::string_view word, tag;
  for (const size_t i : outline.outer) {
    const Token& token = outline.tokens[i];
    if (i == outline.braces) break;
    if (is_tag_word(token)) {
      word = token.text;
    } else if (!word.empty() && token.is_identifier() && !is_attribute(token.text)) {
      tag = token.text;
    }
  }
  return tag.empty() ? std::string() : std::string(word).append(" ").append(tag);
}

}  // namespace

Description describe(const std::vector<Token>& piece) {
  const Outline outline(piece);
  if (outline.braces != 0) {
    const auto end = piece.begin() + static_cast<std::ptrdiff_t>(outline.braces) + 1;
    if (is_function_head({piece.begin(), end})) return {Description::Kind::function, first_declared(outline)};
    const bool tagged = std::any_of(piece.begin(), end, is_tag_word);
    if (!outline.assigns && tagged) {
      const std::string title = title_of_type(outline);
      return {Description::Kind::type, title.empty() && piece[0].is("typedef") ? first_declared(outline) : title};
    }
  }
  return {Description::Kind::other, first_declared(outline)};
}

Declaration classify(const std::vector<Token>& piece) {
  const Outline outline(piece);
  const Token& first = piece.front();
  if (piece.back().is("}")) return classify_function(outline);
  if (!piece.back().is(";")) return {};
  if (outline.braces != 0 && !outline.assigns && !outline.has_extern && !outline.has_static)
    return first.is("typedef") || is_tag_word(first) ? classify_type(outline) : Declaration{};
  const bool unclear = outline.begins_with_call();
  if (!unclear && (first.is("typedef") || outline.has_extern))
    return classify_declaration(outline, ItemKind::declaration);
  if (!unclear && outline.has_static) return classify_declaration(outline, ItemKind::variable);
  if (outline.assigns || outline.has_static || outline.has_extern) return {};
  if (is_tag_word(first) && piece.size() == 3) return {ItemKind::declaration, {}};
  // A prototype; anything else that has no storage class is a variable, or what a macro makes.
  if (outline.calls.empty() || !outline.type_before(outline.calls.front())) return {};
  return classify_declaration(outline, ItemKind::declaration);
}

namespace {

/// Reads the entries between the braces of one enum.
class EnumReader {
 public:
  EnumReader(const std::vector<Token>& tokens, std::vector<Enumerator>& result) : tokens_(tokens), result_(result) {}

  void read(size_t at, size_t end) {
    while (at < end) {
      if (tokens_[at].is("#") && tokens_[at].starts_line) {
        at = skip_directive(at, end);
        continue;
      }
      size_t last = at;
      while (last < end && !tokens_[last].is(",") && !(tokens_[last].is("#") && tokens_[last].starts_line))
        last = is_open(tokens_[last]) ? behind_group(tokens_, last) : last + 1;
      if (last > at) entry(at, std::min(last, end));
      at = last < end && tokens_[last].is(",") ? last + 1 : last;
    }
  }

 private:
  /// What follows a condition counts from there.
  size_t skip_directive(size_t at, size_t end) {
    do {
      base_.append(" ").append(tokens_[at].text);
    } while (++at < end && !tokens_[at].starts_line);
    plain_ = false;
    return at;
  }

  void entry(size_t at, size_t end) {
    const bool explicit_value = at + 1 < end && tokens_[at + 1].is("=");
    if (explicit_value) {
      base_.clear();
      for (size_t i = at + 2; i < end; ++i) base_.append(tokens_[i].text).append(" ");
      distance_ = 0;
      plain_ = end == at + 3 && tokens_[at + 2].kind == TokenKind::number;
    }
    const bool known = explicit_value || end == at + 1;
    if (!known) plain_ = false;  // a macro's call
    for (size_t i = at; i < (known ? at + 1 : end); ++i) {
      if (tokens_[i].is_identifier())
        result_.push_back({tokens_[i].text, base_ + "+" + std::to_string(distance_), plain_});
    }
    if (!known) base_.append(" ").append(tokens_[at].text);
    ++distance_;
  }

  const std::vector<Token>& tokens_;
  std::vector<Enumerator>& result_;
  std::string base_ = "0";
  unsigned distance_ = 0;
  bool plain_ = true;
};

}  // namespace

std::vector<Enumerator> enumerators(const std::vector<Token>& type) {
  std::vector<Enumerator> result;
  for (size_t i = 0; i + 1 < type.size(); ++i) {
    if (!type[i].is("enum")) continue;
    size_t at = i + 1;
    while (at < type.size() && type[at].is_identifier()) ++at;
    if (at < type.size() && type[at].is("{")) EnumReader(type, result).read(at + 1, behind_group(type, at) - 1);
  }
  return result;
}

}  // namespace klp::kernel
