#include "compare_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "support/run.h"

namespace klp::tools {
namespace {

constexpr size_t kContext = 8;  // equal instructions around those that differ

/// "sk_free" of "sk_free.constprop.0".
std::string_view source_name(std::string_view symbol) {
  return symbol.substr(0, symbol.find('.'));
}

/// How well a symbol answers to a name: clones answer where the function itself does not.
enum class Match { none, clone, same };

Match match_of(const std::string& name, std::string_view symbol) {
  if (symbol.find(".cold") != std::string_view::npos) return Match::none;
  if (symbol == name || diff::stable_name(symbol) == diff::stable_name(name)) return Match::same;
  return source_name(symbol) == name ? Match::clone : Match::none;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// Up to three names that a misspelt one may have meant.
std::string near_names(const std::string& name, const std::set<std::string>& known) {
  std::vector<std::pair<size_t, std::string>> found;
  for (const std::string& other : known) {
    const size_t longer = std::max(name.size(), other.size()), shorter = std::min(name.size(), other.size());
    if (longer - shorter > longer / 3 + 1) continue;
    const size_t distance = edit_distance(name, other);
    if (distance <= name.size() / 3 + 1) found.emplace_back(distance, other);
  }
  std::sort(found.begin(), found.end());
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(3, found.size()); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", found[i].second);
  return text;
}

/// Which binary has the function.
class Search {
 public:
  Search(const ComparedSide& before, const ComparedSide& after, std::string name, std::string binary)
      : before_(before), after_(after), name_(std::move(name)), wanted_(std::move(binary)) {}

  std::string binary() {
    for (const auto& [binary, path] : after_.binaries()) {
      if (after_.is_single())
        look_into(binary, before_.binaries().begin()->second, path);
      else if (before_.binaries().count(binary) != 0 && is_wanted(binary))
        look_into(binary, before_.binaries().at(binary), path);
    }
    if (best_ == Match::none) throw_unknown();
    if (found_.size() > 1)
      throw Error(fmt::format("{} binaries have a function {}", found_.size(), name_),
                  fmt::format("say which: --function {}:{}, or {}:{}", found_[0], name_, found_[1], name_));
    return found_[0];
  }

 private:
  bool is_wanted(const std::string& binary) const {
    return wanted_.empty() || binary == wanted_ || binary == wanted_ + ".ko";
  }

  void look_into(const std::string& binary, const fs::path& before, const fs::path& after) {
    throw_if_interrupted();
    Match best = Match::none;
    for (const fs::path& path : {before, after}) {
      const elf::ElfObject object = read_binary(path);
      for (const elf::Symbol& s : object.symbols()) {
        if (!s.is_defined() || !s.section->is_exec() || s.size == 0 || s.is_section()) continue;
        best = std::max(best, match_of(name_, s.name));
        known_.emplace(source_name(s.name));
      }
    }
    if (best == Match::none || best < best_) return;
    if (best > best_) found_.clear();
    best_ = best;
    found_.push_back(binary);
  }

  [[noreturn]] void throw_unknown() const {
    const std::string where = wanted_.empty() ? "neither build" : "neither build's " + wanted_;
    const std::string near = near_names(name_, known_);
    if (known_.empty())
      throw Error(fmt::format("there is no {} in both builds", wanted_), "--stat lists the binaries that differ");
    throw Error(fmt::format("{} has a function {}", where, name_),
                near.empty() ? "functions that were inlined everywhere have no code of their own"
                             : fmt::format("did you mean {}?", near));
  }

  const ComparedSide &before_, &after_;
  std::string name_, wanted_;
  Match best_ = Match::none;
  std::vector<std::string> found_;
  std::set<std::string> known_;
};

std::vector<const diff::ImageFunction*> matching(const diff::ImageForm& form, const std::string& name, Match wanted) {
  std::vector<const diff::ImageFunction*> result;
  for (const diff::ImageFunction& f : form.functions()) {
    if (match_of(name, f.symbol->name) == wanted) result.push_back(&f);
  }
  return result;
}

/// Symbols of the functions of that name before and after: those of the same file belong together.
std::vector<std::pair<size_t, size_t>> pairs_of(const diff::ImageForm& before, const diff::ImageForm& after,
                                                const std::string& name) {
  for (const Match match : {Match::same, Match::clone}) {
    auto a = matching(before, name, match);
    std::vector<std::pair<size_t, size_t>> result;
    for (const diff::ImageFunction* g : matching(after, name, match)) {
      auto f =
          std::find_if(a.begin(), a.end(), [&](const auto* x) { return x->name == g->name && x->file == g->file; });
      if (f == a.end() && a.size() == 1) f = a.begin();  // it became static, or went to another file
      result.emplace_back(f == a.end() ? 0 : (*f)->symbol->index, g->symbol->index);
      if (f != a.end()) a.erase(f);
    }
    for (const diff::ImageFunction* f : a) result.emplace_back(f->symbol->index, 0);
    if (!result.empty()) return result;
  }
  return {};
}

std::vector<diff::CodePart> all_parts(const diff::SideBySide& view, const std::vector<std::pair<size_t, size_t>>& pairs,
                                      const diff::ViewLimits& limits) {
  std::vector<diff::CodePart> result;
  for (const auto& [f, g] : pairs) {
    for (diff::CodePart& part : view.parts(f, g, limits)) result.push_back(std::move(part));
  }
  return result;
}

/// What the comparison of the binaries says about functions of these names.
std::vector<std::string> reasons_of(const fs::path& before, const fs::path& after, const diff::LineSources& lines,
                                    const std::vector<diff::CodePart>& parts) {
  std::vector<std::string> result;
  if (have_equal_bytes(before, after)) return result;
  for (const diff::ImageChange& change : compare_files(before, after, lines).functions) {
    const std::string name = diff::stable_name(change.name);
    if (std::none_of(parts.begin(), parts.end(), [&](const diff::CodePart& part) { return part.name == name; }))
      continue;
    using Kind = diff::ImageChange::Kind;
    const std::string reason = change.kind == Kind::added     ? "it is new"
                               : change.kind == Kind::removed ? "it was removed"
                                                              : change.reason;
    result.push_back(change.file.empty() ? reason : fmt::format("{}: {}", change.file, reason));
  }
  return result;
}

}  // namespace

report::FunctionReport look_at_function(const ComparedSide& before, const ComparedSide& after,
                                        const FunctionQuestion& question) {
  const size_t colon = question.name.rfind(':');
  const std::string name = colon == std::string::npos ? question.name : question.name.substr(colon + 1);
  report::FunctionReport result;
  result.binary =
      Search(before, after, name, colon == std::string::npos ? "" : question.name.substr(0, colon)).binary();
  const std::string old_binary = before.is_single() ? before.binaries().begin()->first : result.binary;
  const OpenedBinary a(before, old_binary);
  const OpenedBinary b(after, result.binary);
  check(a.form().image().machine() == b.form().image().machine(), "the two builds are for different architectures");
  const diff::CodeSource source_a = a.source(), source_b = b.source();
  const diff::SideBySide view(source_a, source_b);
  const auto pairs = pairs_of(a.form(), b.form(), name);
  const std::vector<diff::CodePart> full = all_parts(view, pairs, {});
  result.parts = question.all ? full : all_parts(view, pairs, {kContext, SIZE_MAX});
  result.reasons = reasons_of(before.binaries().at(old_binary), after.binaries().at(result.binary),
                              line_sources(before, old_binary, after, result.binary), full);
  result.origin = diff::origin_of(full);
  for (const auto& [has_lines, side] : {std::pair(a.has_lines(), "first"), std::pair(b.has_lines(), "second")}) {
    if (!has_lines)
      result.notes.push_back(
          fmt::format("the {} build has no debug information that can be read: source lines are not known", side));
  }
  const SourceTrees trees{question.sources.before.empty() ? before.source() : question.sources.before,
                          question.sources.after.empty() ? after.source() : question.sources.after};
  result.old_source = source_text(result.parts, false, trees.before);
  result.new_source = source_text(result.parts, true, trees.after);
  if (!trees.before.empty() && !trees.after.empty()) result.source_diff = source_diff(full, trees, result.notes);
  return result;
}

}  // namespace klp::tools
