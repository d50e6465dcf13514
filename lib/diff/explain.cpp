#include "diff/explain.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace klp::diff {
namespace {

using Kind = SourceDefinition::Kind;
using elf::InlinedCall;

constexpr size_t kMaxCauses = 8;  // of one function; more say nothing
constexpr size_t kMaxSteps = 32;  // of one chain: nobody reads further

/// A function's name in the source: clones and parts have theirs with a dot behind it.
std::string plain_name(std::string_view name) {
  return std::string(name.substr(0, name.find('.')));
}

bool is_changed(const SourceDefinition& d) {
  return !d.changed.empty();
}

std::string title_of(const SourceDefinition& d) {
  switch (d.kind) {
    case Kind::function:
      return d.name.ends_with(')') ? d.name : d.name + "()";
    case Kind::macro:
      return "the macro " + d.name;
    case Kind::type:
    case Kind::other:
      break;
  }
  return d.name.empty() ? "what stands there" : d.name;
}

/// The search for the causes of one function's change.
class Search {
 public:
  using ByName = std::multimap<std::string_view, const SourceDefinition*>;

  Search(const SourceChanges& source, const ByName& by_name, const elf::DebugInfo& original,
         const elf::DebugInfo& patched, const TypeBlame* types, const std::string& function)
      : source_(source),
        by_name_(by_name),
        types_(types),
        function_(function),
        before_(calls_of(original, function)),
        after_(calls_of(patched, function)),
        own_(definition_of(original, function)) {}

  std::vector<Cause> run() {
    if (own_ != nullptr && is_changed(*own_)) add(*own_, "changes it");
    look_at_inlined();
    look_at_words(true);
    if (causes_.empty()) {
      look_at_types();
      look_at_words(false);
    }
    if (causes_.empty()) look_at_calls();
    if (causes_.empty()) look_at_inlining();
    if (causes_.empty()) causes_.push_back({nothing_found(), {}, nullptr});
    if (causes_.size() > kMaxCauses) causes_.resize(kMaxCauses);
    return std::move(causes_);
  }

 private:
  using Calls = std::vector<InlinedCall>;

  static const Calls& calls_of(const elf::DebugInfo& debug, const std::string& name) {
    static const Calls none;
    const auto found = debug.inlined.find(name);
    return found == debug.inlined.end() ? none : found->second;
  }

  void add(const SourceDefinition& d, const std::string& what) {
    if (!told_.insert(&d).second) return;
    causes_.push_back({fmt::format("{} {}", place_of(d), what), place_of(d), &d});
  }

  /// By where the original has it: macros make functions of other names (SYSCALL_DEFINE). By name else.
  const SourceDefinition* definition_of(const elf::DebugInfo& original, const std::string& name) const {
    const auto place = original.functions.find(name);
    for (const SourceDefinition& d : source_) {
      if (place == original.functions.end()) break;
      const elf::SourcePlace& at = place->second;
      if (d.kind != Kind::type && d.old_first <= at.line && at.line <= d.old_last && at.file == d.file) return &d;
    }
    return function_named(name);
  }

  const SourceDefinition* function_named(const std::string& name) const {
    const SourceDefinition* result = nullptr;
    for (auto [at, end] = by_name_.equal_range(name); at != end; ++at) {
      if (at->second->kind == Kind::function && (result == nullptr || is_changed(*at->second))) result = at->second;
    }
    return result;
  }

  static bool has(const Calls& calls, const std::string& name) {
    return std::any_of(calls.begin(), calls.end(), [&](const InlinedCall& c) { return c.name == name; });
  }

  /// "inlined here (line 431)", "inlined here through b() (line 431)".
  std::string inlined_text(const Calls& calls, size_t index) const {
    std::string through;
    int at = static_cast<int>(index);
    for (int up = calls[index].into; up >= 0; up = calls[static_cast<size_t>(up)].into) {
      through = fmt::format("{}(){}{}", calls[static_cast<size_t>(up)].name, through.empty() ? "" : ", ", through);
      at = up;
    }
    const unsigned line = shown_line(calls[static_cast<size_t>(at)].line);
    return fmt::format("inlined here{}{}{}", through.empty() ? "" : " through ", through,
                       line == 0 ? "" : fmt::format(" (line {})", line));
  }

  /// The compiler counts the lines of what does not change as in the original; people read the patched file.
  unsigned shown_line(unsigned line) const {
    const bool moved = own_ != nullptr && own_->first != 0 && own_->old_first <= line && line <= own_->old_last;
    return moved ? line - own_->old_first + own_->first : line;
  }

  void look_at_inlined() {
    for (const Calls* calls : {&after_, &before_}) {
      for (size_t i = 0; i < calls->size(); ++i) {
        const SourceDefinition* d = function_named((*calls)[i].name);
        if (d == nullptr || !is_changed(*d)) continue;
        std::string text = inlined_text(*calls, i);
        if (calls == &before_)
          text = fmt::format("which was {} before", text);
        else if (!has(before_, d->name) && d->old_first != 0)
          text += ", which it was not before";
        add(*d, fmt::format("changes {}, {}", title_of(*d), text));
      }
    }
  }

  static bool is_inline(const SourceDefinition& d) {
    return d.kind == Kind::function && std::any_of(d.words.begin(), d.words.end(), [](const std::string& word) {
             return word == "inline" || word == "__always_inline";
           });
  }

  /// Whether the search goes on into what a word names. Inlined functions whose code is folded leave nothing in DWARF.
  static bool follows(const SourceDefinition& d, bool macros_only) {
    return d.kind == Kind::macro || (macros_only ? is_inline(d) : d.kind != Kind::function);
  }

  /// Macros and inline functions, or macros, types and variables, that the function's text or that of an inlined one
  /// names.
  void look_at_words(bool macros_only) {
    struct Step {
      const SourceDefinition* definition;
      std::string how;  ///< is it there
    };
    std::deque<Step> open;
    std::set<const SourceDefinition*> seen;
    const auto visit = [&](const SourceDefinition* d, std::string how) {
      if (d == nullptr || !seen.insert(d).second) return;
      if (is_changed(*d) && follows(*d, macros_only) && !is_harmless(*d))
        add(*d, fmt::format("changes {}, used {}", title_of(*d), how));
      open.push_back({d, std::move(how)});
    };
    visit(own_, "here");
    for (const Calls* calls : {&after_, &before_}) {
      for (const InlinedCall& call : *calls)
        visit(function_named(call.name), fmt::format("in {}(), which is inlined here", call.name));
    }
    for (; !open.empty(); open.pop_front()) {
      const Step step = open.front();
      const bool direct = step.definition == own_ || step.definition->kind == Kind::function;
      const std::string how = direct ? step.how : fmt::format("{} through {}", step.how, step.definition->name);
      for (const std::string& word : step.definition->words) {
        for (auto [at, end] = by_name_.equal_range(word); at != end; ++at) {
          if (follows(*at->second, macros_only)) visit(at->second, how);
        }
      }
    }
  }

  bool is_harmless(const SourceDefinition& d) const {
    return d.kind == Kind::type && types_ != nullptr && types_->is_harmless(d);
  }

  void look_at_types() {
    if (types_ == nullptr) return;
    for (const TypeBlame::Use& use : types_->uses(function_)) {
      const std::string within = use.holder.empty() ? "" : fmt::format("in {}, ", use.holder);
      add(*use.definition, fmt::format("changes {}, {}used here", use.type, within));
    }
  }

  /// A function that is called differently because its callee changed: other registers are kept, arguments are gone.
  void look_at_calls() {
    if (own_ == nullptr) return;
    for (const std::string& word : own_->words) {
      const SourceDefinition* d = function_named(word);
      if (d != nullptr && d != own_ && is_changed(*d))
        add(*d, fmt::format("changes {}, which it calls; no line of it changes itself, but the compiler makes the call "
                            "in another way",
                            title_of(*d)));
    }
  }

  void look_at_inlining() {
    std::map<std::string, std::pair<size_t, size_t>> counts;  // before, after
    for (const InlinedCall& call : before_) ++counts[call.name].first;
    for (const InlinedCall& call : after_) ++counts[call.name].second;
    for (const auto& [name, count] : counts) {
      if (count.first == count.second) continue;
      const std::string what = count.first == 0    ? fmt::format("now inlines {}() into it", name)
                               : count.second == 0 ? fmt::format("no longer inlines {}() into it", name)
                                                   : fmt::format("inlines {}() into it {} times instead of {}", name,
                                                                 count.second, count.first);
      causes_.push_back({fmt::format("no line of it changes; the compiler {}", what), {}, nullptr});
      return;
    }
  }

  /// Which types a function uses is not known of all code: those that change are only named.
  std::string nothing_found() const {
    std::string types;
    size_t count = 0;
    for (const SourceDefinition& d : source_) {
      if (d.kind != Kind::type || d.name.empty() || !is_changed(d) || is_harmless(d) || ++count > 3) continue;
      types += fmt::format("{}{} ({})", types.empty() ? "" : ", ", d.name, place_of(d));
    }
    return "no line of it changes, nor of what is known to be inlined into it" +
           (types.empty()
                ? "; the compiler's code differs all the same"
                : fmt::format("; it may depend on a type that changes: {}{}", types, count > 3 ? ", ..." : ""));
  }

  const SourceChanges& source_;
  const ByName& by_name_;
  const TypeBlame* types_;  ///< null: not known
  const std::string& function_;
  const Calls& before_;
  const Calls& after_;
  const SourceDefinition* own_;  ///< null when the source does not show it
  std::set<const SourceDefinition*> told_;
  std::vector<Cause> causes_;
};

/// What a lifted function calls or reads that changed: "f" of "calls f, which changed (...)"; empty for other reasons.
std::string lifted_for(std::string_view reason) {
  for (const std::string_view verb : {"calls ", "reads "}) {
    const size_t at = reason.rfind(verb), end = reason.find(", which", at);
    if (at == std::string_view::npos || end == std::string_view::npos) continue;
    return plain_name(reason.substr(at + verb.size(), end - at - verb.size()));
  }
  return {};
}

}  // namespace

Explanations::Explanations(const SourceChanges* source, const elf::DebugInfo& original, const elf::DebugInfo& patched,
                           const ChangeSet& changes, TypesOnDemand types)
    : source_(source), original_(original), patched_(patched), read_types_(std::move(types)) {
  for (const FunctionChange& change : changes.functions) {
    changes_.emplace(change.patched, &change);
    changed_names_.insert(plain_name(change.patched->name()));
  }
  if (source_ == nullptr) return;
  for (const SourceDefinition& d : *source_) {
    std::string_view name = d.name;
    if (d.kind == Kind::type) name.remove_prefix(std::min(name.find(' ') + 1, name.size()));
    if (!name.empty()) by_name_.emplace(name, &d);
  }
}

const TypeBlame* Explanations::types() const {
  if (!types_ && read_types_ && source_ != nullptr) types_.emplace(*source_, read_types_());
  return types_ ? &*types_ : nullptr;
}

const std::vector<Cause>& Explanations::causes(std::string_view function) const {
  const auto [at, is_new] = known_.try_emplace(plain_name(function));
  if (is_new && source_ != nullptr && !source_->empty())
    at->second = Search(*source_, by_name_, original_, patched_, types(), at->first).run();
  if (is_new && !at->second.empty()) named_.insert(at->second.front().definition);
  return at->second;
}

/// The changed lines of a function or variable, or those behind a changed function.
std::string Explanations::changed_place(const std::string& name) const {
  if (changed_names_.count(name) != 0) {
    const std::vector<Cause>& why = causes(name);
    if (!why.empty() && !why.front().place.empty()) return why.front().place;
  }
  for (auto [at, end] = by_name_.equal_range(name); at != end; ++at) {
    if (is_changed(*at->second)) return place_of(*at->second);
  }
  return {};
}

/// The changed lines of a function's own text; empty when it changed for another reason.
std::string Explanations::own_place(const std::string& name) const {
  const std::vector<Cause>& why = causes(name);
  const bool own = !why.empty() && why.front().definition != nullptr && why.front().text.ends_with(" changes it");
  return own ? why.front().place : "";
}

std::string Explanations::place_of_symbol(const std::string& name) const {
  if (std::string place = changed_place(name); !place.empty()) return place;
  const SourceDefinition* there = nullptr;
  for (auto [at, end] = by_name_.equal_range(name); at != end; ++at) {
    if (at->second->first != 0 && at->second->kind == Kind::other) there = at->second;
  }
  if (there != nullptr) return fmt::format("{}:{}", there->file, there->first);
  const auto declared = patched_.functions.find(name);
  if (declared == patched_.functions.end()) return {};
  return fmt::format("{}:{}", declared->second.file, declared->second.line);
}

std::string Explanations::why_gone(const Piece& removed, const Pieces& patched) const {
  const std::string name = plain_name(removed.name());
  for (const Piece& piece : patched.all()) {
    if (piece.kind == PieceKind::function && piece.symbol != nullptr && plain_name(piece.name()) == name)
      return fmt::format("the compiler has made {} of it", piece.name());
  }
  for (auto [at, end] = by_name_.equal_range(name); at != end; ++at) {
    if (at->second->kind != Kind::function) continue;
    return at->second->first == 0 ? "the patch deletes it" : "still in the source, but inlined everywhere or not used";
  }
  return "not used any more";
}

/// Whether a definition made by a macro, "DEFINE_MUTEX(lock)", is one of those names.
static bool is_told(const std::string& name, const std::set<std::string, std::less<>>& told) {
  if (told.count(name) != 0) return true;
  const size_t open = name.find('('), end = name.find_first_of(",)", open);
  return open != std::string::npos && end != std::string::npos &&
         told.count(name.substr(open + 1, end - open - 1)) != 0;
}

std::vector<std::string> Explanations::left_out(const std::set<std::string, std::less<>>& told, const std::string& unit,
                                                const Pieces& patched) const {
  std::vector<std::string> result;
  if (source_ == nullptr) return result;
  const std::string stem = unit.substr(0, unit.rfind('.')) + ".c";
  for (const SourceDefinition& d : *source_) {
    const bool shown = d.kind == Kind::function || d.kind == Kind::other;
    if (!shown || !is_changed(d) || d.name.empty() || d.first == 0 || !stem.ends_with(d.file)) continue;
    if (named_.count(&d) != 0 || is_told(d.name, told)) continue;
    result.push_back(
        fmt::format("{} ({}{}){}", d.name, d.old_first == 0 ? "new, " : "", place_of(d), why_left_out(d, patched)));
  }
  return result;
}

/// ": its compiled code is as before". Nothing where the objects do not tell.
std::string Explanations::why_left_out(const SourceDefinition& d, const Pieces& patched) const {
  std::vector<std::string> users;
  for (const auto& [user, calls] : patched_.inlined) {
    const bool inlines = std::any_of(calls.begin(), calls.end(), [&](const auto& call) { return call.name == d.name; });
    if (inlines) users.push_back(user);
  }
  if (!users.empty()) return fmt::format(": inlined into {}", fmt::join(users, ", "));
  const auto& all = patched.all();
  const bool there = std::any_of(all.begin(), all.end(), [&](const Piece& piece) {
    return piece.symbol != nullptr && plain_name(piece.name()) == d.name;
  });
  if (there && d.old_first != 0) return ": what is compiled of it is as before";
  if (there) return ": nothing in the module refers to it";
  // What the compiler folds leaves no trace in DWARF; the text still names it.
  for (const SourceDefinition& user : *source_) {
    const bool names = std::binary_search(user.words.begin(), user.words.end(), d.name);
    if (names && &user != &d && user.first != 0 && !user.name.empty()) users.push_back(user.name);
  }
  if (!users.empty()) return fmt::format(": no code of its own; {} names it", fmt::join(users, ", "));
  return d.kind == Kind::function ? ": not used" : "";
}

std::vector<std::string> Explanations::of_data(std::string_view name, const std::string& reason) const {
  const std::string place = changed_place(plain_name(name));
  if (place.empty()) return {reason};
  return {place + " changes it", reason};
}

/// "the running kernel has no symbol sk_new" about a function whose changed lines name it: that line.
std::string Explanations::place_of_mention(const std::string& symbol, std::string_view message) const {
  const auto mentioned = [&](std::string_view word) {
    const auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    const size_t at = message.find(word);
    if (at == std::string_view::npos || word == symbol || word.find('_') == std::string_view::npos) return false;
    const size_t end = at + word.size();
    return (at == 0 || !in_word(message[at - 1])) && (end == message.size() || !in_word(message[end]));
  };
  for (auto [at, end] = by_name_.equal_range(symbol); at != end; ++at) {
    for (const auto& [word, line] : at->second->changed_words) {
      if (mentioned(word)) return fmt::format("{}:{}", at->second->file, line);
    }
  }
  return {};
}

/// A type's lines, though a function or member may be called like it.
std::string Explanations::place_of_type(const Finding& finding) const {
  if (finding.code != "changed-layout" || finding.symbol.empty() || types() == nullptr) return {};
  const SourceDefinition* d = types()->definition_of(finding.symbol);
  return d == nullptr ? "" : place_of(*d);
}

/// What is refused only because a type has another layout is mended with the type.
std::string Explanations::consequence(const std::string& code, const std::string& symbol) const {
  if ((code != "not-traceable" && code != "init-code") || changed_names_.count(symbol) == 0) return {};
  const std::vector<Cause>& why = causes(symbol);
  if (why.empty()) return {};
  const SourceDefinition* definition = why.front().definition;
  const bool by_type = definition != nullptr ? definition->kind == Kind::type
                                             : why.front().text.find("a type that changes") != std::string::npos;
  return by_type ? why.front().text : "";
}

Findings Explanations::with_places(const Findings& findings) const {
  Findings result;
  for (Finding finding : findings.list()) {
    const std::string symbol = plain_name(finding.symbol);
    if (finding.place.empty()) finding.place = place_of_type(finding);
    if (finding.place.empty()) finding.place = place_of_mention(symbol, finding.message);
    if (finding.place.empty() && !symbol.empty()) finding.place = place_of_symbol(symbol);
    if (const std::string reason = consequence(finding.code, symbol); !reason.empty()) {
      finding.message += "; " + reason;
      finding.hint = "this follows from the changed type: see to that first";
    }
    if (finding.code == "changed-data" && finding.message.find(", the size of ") != std::string::npos)
      finding.hint = "this follows from the changed type: see to that first";
    result.add(std::move(finding));
  }
  return result;
}

std::vector<std::string> Explanations::of_root(const Carried& root) const {
  std::vector<std::string> result;
  const auto change = changes_.find(root.piece);
  if (change != changes_.end() && change->second->kind == FunctionChange::Kind::changed) {
    for (const Cause& cause : causes(root.piece->name())) result.push_back(cause.text);
  }
  std::string because = root.because;
  if (const std::string name = lifted_for(root.further.empty() ? because : root.further.back()); result.empty()) {
    if (const std::string place = changed_place(name); !place.empty())
      because += fmt::format("; {} changes {}", place, name);
  }
  result.push_back(std::move(because));
  result.insert(result.end(), root.further.begin(), root.further.end());
  return result;
}

std::vector<std::string> Explanations::chain(const Carried& piece,
                                             const std::unordered_map<const Piece*, const Carried*>& carried) const {
  if (piece.parent == nullptr) return of_root(piece);
  std::vector<std::string> result = {piece.because};
  const Carried* root = carried.at(piece.parent);
  for (; root->parent != nullptr; root = carried.at(root->parent)) {
    if (result.size() < kMaxSteps) result.push_back(fmt::format("{}: {}", root->piece->name(), root->because));
    if (result.size() == kMaxSteps) result.emplace_back("and so on");
  }
  const std::string name(root->piece->name());
  if (root->piece != piece.parent) result[0] += fmt::format(", which is carried for {}", name);
  const std::vector<std::string> reasons = of_root(*root);
  // A part is read together with its function, and data with the functions beside it.
  const bool calls_for_place = piece.piece->kind == PieceKind::function && !is_cold_name(piece.piece->name());
  const std::string place = calls_for_place && changes_.count(root->piece) != 0 ? own_place(plain_name(name)) : "";
  if (!place.empty() && original_.functions.count(plain_name(name)) != 0)
    result[0] += fmt::format(", which {} changes", place);
  for (const std::string& reason : reasons) result.push_back(fmt::format("{}: {}", name, reason));
  return result;
}

}  // namespace klp::diff
