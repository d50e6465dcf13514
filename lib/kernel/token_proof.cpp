// The texts have megabytes and are nearly equal: the patched one is taken apart only from the first difference to the
// last, and only pieces through which a changed name can reach anything go into the closure.
#include <algorithm>
#include <bitset>
#include <span>
#include <unordered_set>

#include "kernel/header_reach.h"
#include "kernel/name_closure.h"

namespace klp::kernel {
namespace {

bool is_directive(const Item& item) {
  return item.kind == ItemKind::macro || item.kind == ItemKind::undefine || item.kind == ItemKind::condition ||
         item.kind == ItemKind::include || item.kind == ItemKind::directive;
}

/// Through which a name can be reached that the text does not spell out; preprocessed texts have none.
bool is_indirect(const Item& item) {
  return is_directive(item) && item.kind != ItemKind::directive;
}

/// Not with an open comment.
bool ends_with_a_token(const TokenText& text) {
  if (text.tokens().empty()) return text.text().empty();
  const std::string_view last = text.tokens().back().text;
  return last.data() + last.size() == text.text().data() + text.text().size();
}

/// What of both texts has to be compared: outside of it they have the same pieces.
struct Window {
  size_t begin = 0;                            ///< in both texts
  size_t end = std::string::npos;              ///< in the original
  size_t first = 0, last = std::string::npos;  ///< the original's pieces in it

  std::string of(const std::string& patched, const std::string& original) const {
    const size_t behind = original.size() - std::min(end, original.size());
    return patched.substr(begin, patched.size() - behind - begin);
  }
};

/// Cuts where a piece of the original ends with its line, so that nothing is open: there the lexer and the splitter are
/// as they begin. Before the first difference that holds for the patched text too, as both read from left to right;
/// behind the last one if the patched text's pieces end there as well, which the caller finds out.
Window differing_window(const std::string& original, const std::string& patched, const TokenText& text,
                        const std::vector<Item>& items) {
  const auto [a, b] = std::mismatch(original.begin(), original.end(), patched.begin(), patched.end());
  const auto same_before = static_cast<size_t>(a - original.begin());
  const size_t most = std::min(original.size(), patched.size()) - same_before;
  const auto end =
      std::mismatch(original.rbegin(), original.rbegin() + static_cast<std::ptrdiff_t>(most), patched.rbegin());
  const size_t same_from = original.size() - static_cast<size_t>(end.first - original.rbegin());
  Window window;
  for (size_t i = 0; i < items.size(); ++i) {
    if (is_directive(items[i])) continue;  // may be within a piece
    const std::string_view last = items[i].tokens.back().text;
    const size_t behind = static_cast<size_t>(last.data() - text.text().data()) + last.size();
    if (behind >= original.size() || original[behind] != '\n') continue;
    if (behind < same_before) {
      window.begin = behind;
      window.first = i + 1;
    } else if (behind > same_from) {
      window.end = behind;
      window.last = i + 1;
      break;
    }
  }
  return window;
}

/// Words; most others are passed over without a look at all of their letters.
class WordSet {
 public:
  void add(std::string_view word) {
    if (words_.insert(word).second) keys_.set(key(word));
  }
  bool has(std::string_view word) const { return keys_.test(key(word)) && words_.count(word) != 0; }
  size_t size() const { return words_.size(); }

 private:
  static constexpr size_t kKeys = 1 << 14;
  static size_t key(std::string_view word) {
    const auto at = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(word[i])); };
    return (word.size() + 37 * at(0) + 331 * at(word.size() / 2) + 2003 * at(word.size() - 1)) % kKeys;
  }
  std::unordered_set<std::string_view> words_;
  std::bitset<kKeys> keys_;
};

/// The pieces that name a word of `words`, or something that one of these pieces defines, in any number of steps.
///
/// NameClosure follows a change from a definition to those that name it and to nothing else, as long as no macro is
/// defined in the text: for it all other pieces might as well not be there.
std::vector<Item> related(std::vector<Item> items, WordSet words) {
  std::vector<bool> taken(items.size());
  for (bool again = true; again;) {
    again = false;
    for (size_t i = 0; i < items.size(); ++i) {
      const auto named = [&](const Token& token) { return token.is_identifier() && words.has(token.text); };
      if (taken[i] || std::none_of(items[i].tokens.begin(), items[i].tokens.end(), named)) continue;
      taken[i] = true;
      const size_t before = words.size();
      for (const std::string_view name : items[i].names) words.add(name);
      again = again || words.size() != before;
    }
  }
  std::vector<Item> result;
  for (size_t i = 0; i < items.size(); ++i) {
    if (taken[i]) result.push_back(std::move(items[i]));
  }
  return result;
}

/// Whether a change of names stays within definitions that nothing else in `items` names.
bool reaches_nothing(std::vector<Item> items, const ChangedNames& change, std::string& why) {
  if (std::none_of(items.begin(), items.end(), is_indirect)) {
    WordSet words;
    for (const std::set<std::string>* names : {&change.names, &change.filled}) {
      for (const std::string& name : *names) words.add(name);
    }
    if (!change.filled.empty()) {
      // Objects of a type that only an expression tells.
      for (const char* word : {"typeof", "__typeof__", "__typeof", "__auto_type"}) words.add(word);
    }
    items = related(std::move(items), std::move(words));
  }
  NameClosure closure;
  closure.add(items, NameClosure::Role::header);
  const NameClosure::Affected text = closure.affected(change).front();
  if (text.is) why = "uses " + text.why;
  return !text.is;
}

}  // namespace

bool same_tokens(const std::string& original, const std::string& patched, const FillsHole& fills_hole,
                 std::string& why) {
  why.clear();
  if (original == patched) return true;
  const TokenText before(original);
  bool complete = false;
  std::vector<Item> items = split_items(before, Blanks::ignored, &complete);
  Window window;
  // Joined lines would make the tokens' places other ones.
  if (complete && before.text().size() == original.size() && std::none_of(items.begin(), items.end(), is_indirect))
    window = differing_window(original, patched, before, items);
  TokenText after(window.of(patched, original));
  std::vector<Item> changed = split_items(after, Blanks::ignored, &complete);
  if (window.end != std::string::npos && (!complete || !ends_with_a_token(after))) {
    window = {};
    after = TokenText(patched);
    changed = split_items(after, Blanks::ignored);
  }
  const std::span<const Item> all(items);
  const HeaderChange change =
      compare_items(all.subspan(window.first, std::min(window.last, items.size()) - window.first), changed);
  why = change.unclear;
  if (change.empty()) return true;
  if (!why.empty()) return false;
  // The patched text's other pieces are the same as these, and so name the same.
  std::move(changed.begin(), changed.end(), std::back_inserter(items));
  return reaches_nothing(std::move(items), changed_names(change, fills_hole), why);
}

}  // namespace klp::kernel
