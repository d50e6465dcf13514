// Pieces of both texts are compared as sequences; then each kind of piece says what its change means.
#include "kernel/header_change.h"

#include <algorithm>
#include <optional>

#include "kernel/c_items.h"

namespace klp::kernel {
namespace {

/// The tag of a struct or union that is defined by itself; empty for all other types.
std::string_view own_tag(const Item& item) {
  const std::vector<Token>& t = item.tokens;
  const bool named = t.size() > 3 && (t[0].is("struct") || t[0].is("union")) && t[1].is_identifier() && t[2].is("{");
  return named ? t[1].text : std::string_view();
}

uint64_t text_digest(const std::vector<Token>& tokens, size_t begin, size_t end) {
  std::string text;
  for (size_t i = begin; i < end; ++i) text.append(tokens[i].text).append(" ");
  return std::hash<std::string>()(text);
}

/// The members of a struct, one for each declarator: "u8 a : 8, b : 8;" has two.
struct Members {
  struct Member {
    std::vector<Token> tokens;  ///< what all declarators of a declaration share, the declarator, ';'
  };
  std::vector<Member> list;
  std::vector<uint64_t> digests;
  size_t end = 0;

  explicit Members(const std::vector<Token>& tokens) {
    end = behind_group(tokens, 2);
    std::vector<Token> declaration;
    for (size_t at = 3; at + 1 < end;) {
      const Token& token = tokens[at];
      const bool opens = token.is("(") || token.is("{") || token.is("[");
      const size_t next = opens ? std::min(behind_group(tokens, at), end - 1) : at + 1;
      declaration.insert(declaration.end(), tokens.begin() + static_cast<std::ptrdiff_t>(at),
                         tokens.begin() + static_cast<std::ptrdiff_t>(next));
      if (token.is(";") || next + 1 >= end) add(std::move(declaration)), declaration.clear();
      at = next;
    }
  }

  void add(std::vector<Token> declaration) {
    const auto is_plain = [](const Token& t) { return !t.is("(") && !t.is("{") && !t.is("#"); };
    std::vector<size_t> commas;
    for (size_t i = 0; i < declaration.size(); ++i) {
      if (declaration[i].is(",")) commas.push_back(i);
    }
    if (commas.empty() || !std::all_of(declaration.begin(), declaration.end(), is_plain)) {
      push(std::move(declaration));
      return;
    }
    // The first declarator begins with its stars, before the word that ':', '[' or ',' follows.
    size_t first = 0;
    while (!declaration[first + 1].is(":") && !declaration[first + 1].is("[") && !declaration[first + 1].is(","))
      ++first;
    while (first > 0 && declaration[first - 1].is("*")) --first;
    const std::vector<Token> shared(declaration.begin(), declaration.begin() + static_cast<std::ptrdiff_t>(first));
    for (size_t begin = first, i = 0; i <= commas.size(); ++i) {
      const size_t stop = i < commas.size() ? commas[i] : declaration.size() - 1;
      std::vector<Token> one = shared;
      one.insert(one.end(), declaration.begin() + static_cast<std::ptrdiff_t>(begin),
                 declaration.begin() + static_cast<std::ptrdiff_t>(stop));
      one.push_back(declaration.back());
      push(std::move(one));
      begin = stop + 1;
    }
  }

  void push(std::vector<Token> tokens) {
    digests.push_back(text_digest(tokens, 0, tokens.size()));
    list.push_back({std::move(tokens)});
  }
};

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

/// The names that an added member declares: plain ones ("u8 x : 1;", "int a, b[4];"). None when it is anything else.
std::set<std::string> plain_members(const std::vector<Token>& tokens) {
  std::set<std::string> names;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const Token& token = tokens[i];
    if (token.is("(") || token.is("{") || token.is("#")) return {};
    const Token& next = tokens[i + 1];
    const bool declarator = next.is(";") || next.is(",") || next.is(":") || next.is("[");
    if (!token.is_identifier() || !declarator || i == 0 || tokens[i - 1].is(":") || tokens[i - 1].is("[")) continue;
    // An attribute would hide the name before it.
    const bool attribute = token.text.starts_with("__") || std::none_of(token.text.begin(), token.text.end(), is_lower);
    if (attribute) return {};
    names.emplace(token.text);
  }
  return names;
}

std::optional<GrownType> grown_type(const Item& original, const Item& patched) {
  const std::string_view tag = own_tag(original);
  if (tag.empty() || own_tag(patched) != tag) return std::nullopt;
  const Members before(original.tokens), after(patched.tokens);
  const SequenceDifference difference = compare_sequences(before.digests, after.digests);
  if (!difference.only_a.empty() || difference.only_b.empty()) return std::nullopt;
  if (text_digest(original.tokens, before.end, original.tokens.size()) !=
      text_digest(patched.tokens, after.end, patched.tokens.size()))
    return std::nullopt;
  GrownType result{std::string(tag), {}};
  for (const size_t i : difference.only_b) {
    const std::set<std::string> names = plain_members(after.list[i].tokens);
    if (names.empty()) return std::nullopt;
    result.members.insert(names.begin(), names.end());
  }
  return result;
}

/// Whether all but the enumerators is the same: the tag, attributes, a name that a typedef gives.
bool same_frame(const std::vector<Token>& a, const std::vector<Token>& b) {
  const auto brace = [](const std::vector<Token>& t) {
    return static_cast<size_t>(std::find_if(t.begin(), t.end(), [](const Token& x) { return x.is("{"); }) - t.begin());
  };
  return text_digest(a, 0, brace(a)) == text_digest(b, 0, brace(b)) &&
         text_digest(a, behind_group(a, brace(a)), a.size()) == text_digest(b, behind_group(b, brace(b)), b.size());
}

/// True when both are an enum and `change` got all that differs between them.
bool compare_enums(const Item& original, const Item& patched, HeaderChange& change) {
  if (!original.tokens[0].is("enum") || !patched.tokens[0].is("enum") || !same_frame(original.tokens, patched.tokens))
    return false;
  std::map<std::string_view, const Enumerator*> before, after;
  const std::vector<Enumerator> a = enumerators(original.tokens), b = enumerators(patched.tokens);
  for (const Enumerator& e : a) before[e.name] = &e;
  for (const Enumerator& e : b) after[e.name] = &e;
  std::set<std::string> names;
  bool plain = true;
  const auto changed = [&](const Enumerator& e) {
    names.emplace(e.name);
    plain = plain && e.plain;
  };
  for (const auto& [name, e] : before) {
    if (const auto other = after.find(name); other == after.end() || other->second->value != e->value) changed(*e);
  }
  for (const auto& [name, e] : after) {
    if (const auto other = before.find(name); other == before.end() || other->second->value != e->value) changed(*e);
  }
  // A value that is computed from changed ones, and an enum that could become signed or larger: too rare to follow.
  const auto depends = [&](const Enumerator& e) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return e.value.find(n) != n.npos; });
  };
  if (!plain || names.empty() || std::any_of(b.begin(), b.end(), depends)) return false;
  change.names.insert(names.begin(), names.end());
  return true;
}

void add_names(const Item& item, HeaderChange& change) {
  for (const std::string_view name : item.names) {
    change.names.emplace(name);
    if (item.kind == ItemKind::macro || item.kind == ItemKind::undefine) change.macros.emplace(name);
  }
  const auto unclear = [&](const std::string& what) {
    if (change.unclear.empty()) change.unclear = what;
  };
  if (item.kind == ItemKind::include) unclear("an #include line changed");
  if (item.kind == ItemKind::directive) unclear("a #" + std::string(item.tokens[1].text) + " changed");
  if (item.kind == ItemKind::other) {
    std::string words;
    for (size_t i = 0; i < item.tokens.size() && i < 4; ++i)
      words.append(i == 0 ? "" : " ").append(item.tokens[i].text);
    unclear("code that no name leads to changed (" + words + " ...)");
  }
}

/// Pairs changed types of both texts: by tag, enums without one by a common enumerator.
const Item* partner(const Item& type, const std::vector<const Item*>& candidates) {
  for (const Item* other : candidates) {
    if (other->kind != ItemKind::type || !other->tokens[0].is(type.tokens[0].text)) continue;
    for (const std::string_view name : type.names) {
      if (std::find(other->names.begin(), other->names.end(), name) != other->names.end()) return other;
    }
  }
  return nullptr;
}

}  // namespace

void HeaderChange::add(const HeaderChange& other) {
  names.insert(other.names.begin(), other.names.end());
  macros.insert(other.macros.begin(), other.macros.end());
  removed.insert(other.removed.begin(), other.removed.end());
  grown.insert(grown.end(), other.grown.begin(), other.grown.end());
  if (unclear.empty()) unclear = other.unclear;
}

HeaderChange compare_headers(const std::string& original, const std::string& patched) {
  const TokenText before(original), after(patched);
  return compare_items(split_items(before, Blanks::count), split_items(after, Blanks::count));
}

HeaderChange compare_items(std::span<const Item> a, std::span<const Item> b) {
  std::vector<uint64_t> x, y;
  for (const Item& item : a) x.push_back(item.digest);
  for (const Item& item : b) y.push_back(item.digest);
  const SequenceDifference difference = compare_sequences(x, y);
  std::vector<const Item*> removed, added;
  for (const size_t i : difference.only_a) removed.push_back(&a[i]);
  for (const size_t i : difference.only_b) added.push_back(&b[i]);

  HeaderChange change;
  std::set<const Item*> done;
  for (const Item* item : removed) {
    const Item* other = item->kind == ItemKind::type ? partner(*item, added) : nullptr;
    if (other == nullptr || done.count(other) != 0) continue;
    bool understood = compare_enums(*item, *other, change);
    if (const auto grown = grown_type(*item, *other)) {
      change.grown.push_back(*grown);
      understood = true;
    }
    if (understood) done.insert({item, other});
  }
  for (const Item* item : removed) {
    if (item->kind == ItemKind::function) change.removed.emplace(item->names.front());
  }
  for (const Item& item : b) {
    for (const std::string_view name : item.names) change.removed.erase(std::string(name));
  }
  for (const std::vector<const Item*>* side : {&removed, &added}) {
    for (const Item* item : *side) {
      if (done.count(item) == 0) add_names(*item, change);
    }
  }
  return change;
}

}  // namespace klp::kernel
