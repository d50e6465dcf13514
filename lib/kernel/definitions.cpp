// The pieces that the proofs about headers work with, with names for people.
#include "kernel/definitions.h"

#include <algorithm>
#include <map>
#include <set>

#include "kernel/c_declarations.h"
#include "support/files.h"

namespace klp::kernel {
namespace {

using Kind = SourceDefinition::Kind;

constexpr unsigned kNear = 4;  // lines from one changed range to the next that count as one: fewer numbers to read

/// The words of [begin, end) but for `name`, sorted, each once.
std::vector<std::string> words_of(const std::vector<Token>& tokens, size_t begin, std::string_view name) {
  std::set<std::string_view> words;
  for (size_t i = begin; i < tokens.size(); ++i) {
    if (tokens[i].is_identifier() && tokens[i].text != name) words.insert(tokens[i].text);
  }
  return {words.begin(), words.end()};
}

std::string text_of(const std::vector<Token>& tokens, size_t begin) {
  std::string text;
  for (size_t i = begin; i < tokens.size(); ++i) text.append(tokens[i].text).append(" ");
  return text;
}

/// Makes definitions of the pieces that the proofs about headers work with.
class Reader {
 public:
  std::vector<Definition> read(const std::vector<Item>& items) {
    for (const Item& item : items) {
      if (item.kind == ItemKind::macro) {
        add_macro(item);
      } else if (item.kind != ItemKind::undefine && item.kind != ItemKind::condition &&
                 item.kind != ItemKind::include && item.kind != ItemKind::directive) {
        take(item.tokens);
      }
    }
    split_off_calls(std::move(open_));
    return std::move(result_);
  }

 private:
  void add_macro(const Item& item) {
    const std::vector<Token>& t = item.tokens;  // # define NAME
    if (t.size() < 3) return;
    result_.push_back(
        {Kind::macro, std::string(t[2].text), t[0].line, t.back().line, words_of(t, 3, t[2].text), text_of(t, 3)});
  }

  /// A piece that an #if tears goes on behind it.
  void take(const std::vector<Token>& tokens) {
    open_.insert(open_.end(), tokens.begin(), tokens.end());
    const Token& last = open_.back();
    int depth = 0;
    for (const Token& token : open_) {
      if (token.is("{")) ++depth;
      if (token.is("}")) depth = token.first_column ? 0 : depth - 1;
    }
    if (depth > 0 || (!last.is(";") && !last.is("}"))) return;
    split_off_calls(std::move(open_));
    open_.clear();
  }

  /// A macro at file scope without a semicolon, as module_init(f), ends where the next definition begins.
  void split_off_calls(std::vector<Token> piece) {
    while (piece.size() > 2 && piece[1].is("(") && !piece[0].text.starts_with("__")) {
      const size_t size = behind_group(piece, 1);
      if (size >= piece.size() || !piece[size].first_column || !piece[size].is_identifier()) break;
      const auto end = piece.begin() + static_cast<std::ptrdiff_t>(size);
      add({piece.begin(), end});
      piece.erase(piece.begin(), end);
    }
    add(std::move(piece));
  }

  void add(std::vector<Token> piece) {
    if (piece.size() < 2) return;  // a stray semicolon
    Description description = describe(piece);
    const Kind kind = description.kind == Description::Kind::function ? Kind::function
                      : description.kind == Description::Kind::type   ? Kind::type
                                                                      : Kind::other;
    result_.push_back({kind, std::move(description.name), piece.front().line, piece.back().line, words_of(piece, 0, {}),
                       text_of(piece, 0)});
  }

  std::vector<Definition> result_;
  std::vector<Token> open_;
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

/// Identifiers of a text by line, without those of directives.
using WordsByLine = std::multimap<unsigned, std::string>;

WordsByLine words_by_line(std::string_view text) {
  WordsByLine result;
  const TokenText tokens{std::string(text)};
  bool directive = false;
  for (const Token& token : tokens.tokens()) {
    if (token.starts_line) directive = token.is("#");
    if (token.is_identifier() && !directive) result.emplace(token.line, token.text);
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
  const TokenText tokens{std::string(text)};
  return Reader().read(split_for_readers(tokens));
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
