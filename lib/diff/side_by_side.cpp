#include "diff/side_by_side.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "diff/edit_script.h"

namespace klp::diff {
namespace {

using Kind = CodeRow::Kind;

constexpr std::string_view kCold = ".cold";
constexpr size_t kNone = SIZE_MAX;
constexpr size_t kLongestTarget = 80;
constexpr size_t kSmallestGap = 3;  // rows

/// A row before its texts are made: instruction numbers.
struct Aligned {
  size_t before = kNone, after = kNone;
  Kind kind = Kind::equal;
};

bool is_inner(const FormItem& item) {
  return item.target().starts_with('@');
}

size_t inner_target(const FormItem& item) {
  return std::strtoul(std::string(item.target().substr(1)).c_str(), nullptr, 10);
}

/// Numbers for texts, the same for the same.
class Numbers {
 public:
  unsigned of(std::string text) {
    return numbers_.try_emplace(std::move(text), static_cast<unsigned>(numbers_.size())).first->second;
  }

 private:
  std::unordered_map<std::string, unsigned> numbers_;
};

/// What an instruction refers to, for people; of a branch inside the function its offset there.
std::string shown_target(const FormItem& item, const std::vector<FormItem>& items, uint64_t size) {
  if (is_inner(item)) {
    const size_t to = inner_target(item);
    return fmt::format("+{:#x}", to < items.size() ? items[to].offset : size);
  }
  const std::string_view target = item.target();
  std::string text;
  if (target.starts_with('#')) {
    for (const char c : target.substr(1))
      text += fmt::format("{}{:02x}", text.empty() ? "" : " ", static_cast<unsigned char>(c));
    return text;
  }
  for (const char c : target.substr(0, kLongestTarget)) {
    if (c == '\n')
      text += "\\n";
    else
      text += c >= ' ' && c < 0x7f ? c : '.';
  }
  if (target.size() > kLongestTarget) text += "...";
  return target.starts_with('"') ? text + '"' : text;
}

/// One side of a part.
class PartSide {
 public:
  /// `partner` is the name of the function's .cold part, or of the function that this is the .cold part of.
  PartSide(const CodeSource& source, const ImageFunction* function, std::string partner)
      : source_(source), function_(function), partner_(std::move(partner)) {
    if (function == nullptr) return;
    items = source.form.form(*function, source.disassembler);
    const elf::Symbol& symbol = *function->symbol;
    if (source.lines != nullptr) rows_ = source.lines->rows(symbol.section->name, symbol.value, symbol.size);
  }

  CodeLine line(size_t n) const {
    const FormItem& item = items[n];
    const elf::SourceRow row = elf::row_at(rows_, function_->symbol->value + item.offset);
    return {item.offset, text(item), std::string(row.file), row.line};
  }

  /// For alignment: without the place that a branch inside the function, or to its other part, goes to.
  std::string key(size_t n) const {
    const FormItem& item = items[n];
    if (is_inner(item)) return item.text.substr(0, item.before_target) + " @";
    return partner_target(n) ? item.text.substr(0, item.before_target) + " @@" : item.text;
  }

  /// Where in the other part a branch goes: offset.
  std::optional<uint64_t> partner_target(size_t n) const {
    const FormItem& item = items[n];
    if (partner_.empty() || item.before_target == std::string::npos || !is_branch(item)) return std::nullopt;
    std::string_view target = item.target();
    if (!target.starts_with(partner_)) return std::nullopt;
    target.remove_prefix(partner_.size());
    if (target.empty()) return 0;
    return target.starts_with("+0x") ? std::optional(std::stoull(std::string(target.substr(3)), nullptr, 16))
                                     : std::nullopt;
  }

  /// The number of the instruction at or behind an offset.
  size_t number_at(uint64_t offset) const {
    const auto found = std::lower_bound(items.begin(), items.end(), offset,
                                        [](const FormItem& item, uint64_t v) { return item.offset < v; });
    return static_cast<size_t>(found - items.begin());
  }

  std::string mnemonic(size_t n) const {
    const std::string full = source_.disassembler.text(source_.form.code(*function_), items[n].offset);
    return full.substr(0, full.find(' '));
  }

  std::vector<FormItem> items;

 private:
  std::string text(const FormItem& item) const {
    const std::span<const std::byte> code = source_.form.code(*function_);
    if (item.before_target == std::string::npos) return source_.disassembler.text(code, item.offset);
    const std::string target = shown_target(item, items, function_->symbol->size);
    if (is_branch(item)) {
      const std::string full = source_.disassembler.text(code, item.offset);
      const size_t operand = full.rfind(' ');
      return (operand == std::string::npos ? full : full.substr(0, operand)) + " " + target;
    }
    // The form has zeros where the address stands.
    const auto* raw = reinterpret_cast<const std::byte*>(item.text.data());
    return source_.disassembler.text({raw, item.size}, 0) + "  # " + target;
  }

  /// A direct branch's form has no bytes in it: kind, condition, blank.
  static bool is_branch(const FormItem& item) { return item.text[item.before_target] == ' '; }

  const CodeSource& source_;
  const ImageFunction* function_;
  std::string partner_;
  std::vector<elf::SourceRow> rows_;
};

/// Which instruction stands beside which.
class Alignment {
 public:
  Alignment(const PartSide& a, const PartSide& b) : a_(a), b_(b) {
    Numbers numbers;
    std::vector<unsigned> x, y;
    for (size_t i = 0; i < a.items.size(); ++i) x.push_back(numbers.of(a.key(i)));
    for (size_t j = 0; j < b.items.size(); ++j) y.push_back(numbers.of(b.key(j)));
    size_t i = 0, j = 0;
    for (const auto& [to_i, to_j] : common_elements(x, y)) {
      add_unequal(i, to_i, j, to_j);
      rows.push_back({to_i, to_j, Kind::equal});
      i = to_i + 1;
      j = to_j + 1;
    }
    add_unequal(i, x.size(), j, y.size());
    rank_rows();
    compare_inner_branches();
  }

  bool is_same_place(size_t number_a, size_t number_b) const { return ranks_a_[number_a] == ranks_b_[number_b]; }

  /// Branches to the other part, once that is aligned, too.
  void compare_branches_to(const Alignment& other) {
    for (Aligned& row : rows) {
      if (row.kind != Kind::equal) continue;
      const auto to_a = a_.partner_target(row.before), to_b = b_.partner_target(row.after);
      if (to_a && to_b && !other.is_same_place(other.a_.number_at(*to_a), other.b_.number_at(*to_b)))
        row.kind = Kind::changed;
    }
  }

  std::vector<Aligned> rows;

 private:
  /// Of what is on both sides, the same instructions with other operands stand beside each other.
  void add_unequal(size_t i, size_t end_i, size_t j, size_t end_j) {
    if (i < end_i && j < end_j) {
      Numbers numbers;
      std::vector<unsigned> x, y;
      for (size_t n = i; n < end_i; ++n) x.push_back(numbers.of(a_.mnemonic(n)));
      for (size_t n = j; n < end_j; ++n) y.push_back(numbers.of(b_.mnemonic(n)));
      const size_t first_i = i, first_j = j;
      for (const auto& [m, n] : common_elements(x, y)) {
        add_pairs(i, first_i + m, j, first_j + n);
        rows.push_back({i++, j++, Kind::changed});
      }
    }
    add_pairs(i, end_i, j, end_j);
  }

  void add_pairs(size_t& i, size_t end_i, size_t& j, size_t end_j) {
    while (i < end_i && j < end_j) rows.push_back({i++, j++, Kind::changed});
    while (i < end_i) rows.push_back({i++, kNone, Kind::removed});
    while (j < end_j) rows.push_back({kNone, j++, Kind::added});
  }

  /// Places are the same when as many equal rows are in front of them.
  void rank_rows() {
    ranks_a_.resize(a_.items.size() + 1, 0);
    ranks_b_.resize(b_.items.size() + 1, 0);
    size_t rank = 0;
    for (const Aligned& row : rows) {
      if (row.before != kNone) ranks_a_[row.before] = rank;
      if (row.after != kNone) ranks_b_[row.after] = rank;
      rank += row.kind == Kind::equal ? 1 : 0;
    }
    ranks_a_.back() = ranks_b_.back() = rank;
  }

  void compare_inner_branches() {
    for (Aligned& row : rows) {
      if (row.kind != Kind::equal || !is_inner(a_.items[row.before])) continue;
      const size_t to_a = std::min(inner_target(a_.items[row.before]), a_.items.size());
      const size_t to_b = std::min(inner_target(b_.items[row.after]), b_.items.size());
      if (!is_same_place(to_a, to_b)) row.kind = Kind::changed;
    }
  }

  std::vector<size_t> ranks_a_, ranks_b_;
  const PartSide &a_, &b_;
};

bool differs(Kind kind) {
  return kind != Kind::equal && kind != Kind::noise;
}

/// Which rows are near one that differs.
std::vector<bool> shown_rows(const std::vector<Aligned>& rows, size_t context) {
  std::vector<bool> shown(rows.size(), false);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!differs(rows[i].kind)) continue;
    const size_t begin = i - std::min(i, context), end = std::min(rows.size(), i + 1 + std::min(context, rows.size()));
    for (size_t n = begin; n < end; ++n) shown[n] = true;
  }
  // A gap's own line would take as much room as these.
  for (size_t i = 0; i < shown.size() && context != 0;) {
    const size_t end =
        static_cast<size_t>(std::find(shown.begin() + static_cast<ptrdiff_t>(i), shown.end(), true) - shown.begin());
    if (end - i < kSmallestGap && end - i < shown.size())
      std::fill(shown.begin() + static_cast<ptrdiff_t>(i), shown.begin() + static_cast<ptrdiff_t>(end), true);
    i = end + 1;
  }
  return shown;
}

/// "f.isra" of "f.isra.cold".
std::string without_cold(const std::string& name) {
  const size_t at = name.find(kCold);
  return at == std::string::npos ? name : name.substr(0, at) + name.substr(at + kCold.size());
}

bool is_cold(const std::string& name) {
  return name.find(kCold) != std::string::npos;
}

/// The lines of a side that instructions come from.
class Origins {
 public:
  void add(const CodeLine& line) {
    if (line.file.empty() || line.line == 0) return;
    File& file = files_[line.file];
    ++file.instructions;
    file.lines.insert(line.line);
  }

  std::vector<SourceRanges> ranges() const {
    std::vector<SourceRanges> result;
    for (const auto& [name, file] : files_) {
      SourceRanges ranges{name, {}, file.instructions};
      for (const unsigned line : file.lines) {
        if (!ranges.lines.empty() && line <= ranges.lines.back().second + 1)
          ranges.lines.back().second = line;
        else
          ranges.lines.emplace_back(line, line);
      }
      result.push_back(std::move(ranges));
    }
    std::stable_sort(result.begin(), result.end(),
                     [](const SourceRanges& a, const SourceRanges& b) { return a.instructions > b.instructions; });
    return result;
  }

 private:
  struct File {
    std::set<unsigned> lines;
    size_t instructions = 0;
  };
  std::map<std::string, File> files_;
};

}  // namespace

/// The functions of a form by symbol index, and by name.
class SideBySide::Directory {
 public:
  explicit Directory(const ImageForm& form) {
    for (const ImageFunction& f : form.functions()) {
      by_symbol_[f.symbol->index] = &f;
      by_name_[f.name].push_back(&f);
    }
  }

  const ImageFunction* of(size_t symbol) const {
    const auto found = by_symbol_.find(symbol);
    return found == by_symbol_.end() ? nullptr : found->second;
  }

  /// Of several the one of this file. A global function's .cold part is local, and has a file.
  const ImageFunction* named(const std::string& name, std::string_view file) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    for (const ImageFunction* f : found->second) {
      if (f->file == file) return f;
    }
    return found->second.size() == 1 ? found->second.front() : nullptr;
  }

  const ImageFunction* leader(const ImageFunction* f) const {
    return f != nullptr && is_cold(f->name) ? named(without_cold(f->name), f->file) : f;
  }

  /// The part of a function that the compiler put elsewhere: gcc writes .cold behind the other words.
  const ImageFunction* cold_part(const ImageFunction* f) const {
    return f == nullptr ? nullptr : named(f->name + std::string(kCold), f->file);
  }

 private:
  std::unordered_map<size_t, const ImageFunction*> by_symbol_;
  std::unordered_map<std::string, std::vector<const ImageFunction*>> by_name_;
};

/// A part of both builds.
struct SideBySide::Pair {
  Pair(const CodeSource& before, const ImageFunction* of_before, const CodeSource& after, const ImageFunction* of_after)
      : f(of_before), g(of_after), a(before, f, partner(f)), b(after, g, partner(g)) {}

  static std::string partner(const ImageFunction* function) {
    if (function == nullptr) return {};
    return is_cold(function->name) ? without_cold(function->name) : function->name + std::string(kCold);
  }

  const ImageFunction *f, *g;
  PartSide a, b;
  Alignment alignment{a, b};
};

static LineSource line_source(const elf::SourceLines* lines) {
  if (lines == nullptr) return {};
  return [lines] { return std::shared_ptr<const elf::SourceLines>(std::shared_ptr<void>(), lines); };  // not its owner
}

SideBySide::SideBySide(const CodeSource& before, const CodeSource& after)
    : before_(before),
      after_(after),
      noise_(before.form, after.form, after.disassembler, {line_source(before.lines), line_source(after.lines)}),
      old_functions_(std::make_unique<Directory>(before.form)),
      new_functions_(std::make_unique<Directory>(after.form)) {}
SideBySide::~SideBySide() = default;

std::vector<CodePart> SideBySide::parts(size_t old_symbol, size_t new_symbol, const ViewLimits& limits) const {
  const ImageFunction* f = old_functions_->of(old_symbol);
  const ImageFunction* g = new_functions_->of(new_symbol);
  // A change of a .cold part alone, or of one that has come or gone, is its function's.
  if (f == nullptr && g != nullptr && is_cold(g->name)) f = old_functions_->named(without_cold(g->name), g->file);
  if (g == nullptr && f != nullptr && is_cold(f->name)) g = new_functions_->named(without_cold(f->name), f->file);
  f = old_functions_->leader(f);
  g = new_functions_->leader(g);
  if (f == nullptr && g == nullptr) return {};
  Pair function(before_, f, after_, g);
  const ImageFunction *cold_f = old_functions_->cold_part(f), *cold_g = new_functions_->cold_part(g);
  if (cold_f == nullptr && cold_g == nullptr) return {part(function, limits)};
  Pair cold(before_, cold_f, after_, cold_g);
  function.alignment.compare_branches_to(cold.alignment);
  cold.alignment.compare_branches_to(function.alignment);
  return {part(function, limits), part(cold, limits)};
}

CodePart SideBySide::part(Pair& pair, const ViewLimits& limits) const {
  const ImageFunction *f = pair.f, *g = pair.g;
  const PartSide &a = pair.a, &b = pair.b;
  const ImageFunction& named = g != nullptr ? *g : *f;
  CodePart result{
      named.name, std::string(named.file), f != nullptr ? f->symbol->size : 0, g != nullptr ? g->symbol->size : 0, 0, 0,
      {}};
  for (Aligned& row : pair.alignment.rows) {
    if (row.kind == Kind::changed && !noise_.between(*f, a.items[row.before], *g, b.items[row.after]).empty())
      row.kind = Kind::noise;
    result.differing += differs(row.kind) ? 1 : 0;
  }
  add_rows(pair, limits, result);
  return result;
}

void SideBySide::add_rows(const Pair& pair, const ViewLimits& limits, CodePart& result) {
  const std::vector<Aligned>& rows = pair.alignment.rows;
  const std::vector<bool> shown = shown_rows(rows, limits.context);
  for (size_t i = 0; i < shown.size(); ++i) {
    const Aligned& from = rows[i];
    if (!shown[i] && limits.context != SIZE_MAX) {
      if (result.rows.empty() || result.rows.back().kind != Kind::skipped)
        result.rows.push_back({Kind::skipped, {}, {}, 0});
      ++result.rows.back().skipped;
      continue;
    }
    if (result.rows.size() >= limits.rows) {
      result.cut = shown.size() - i;
      break;
    }
    result.rows.push_back({from.kind, from.before != kNone ? pair.a.line(from.before) : CodeLine{},
                           from.after != kNone ? pair.b.line(from.after) : CodeLine{}, 0});
  }
}

ChangeOrigin origin_of(const std::vector<CodePart>& parts) {
  Origins before, after;
  for (const CodePart& part : parts) {
    for (const CodeRow& row : part.rows) {
      if (row.kind == Kind::removed) before.add(row.before);
      if (row.kind == Kind::changed || row.kind == Kind::added) after.add(row.after);
    }
  }
  return {after.ranges(), before.ranges()};
}

}  // namespace klp::diff
