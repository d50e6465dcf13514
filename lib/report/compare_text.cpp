#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "report/compare_report.h"
#include "report/function_report.h"
#include "report/text_layout.h"

namespace klp::report {
namespace {

using diff::ImageChange;
using Kind = ImageChange::Kind;

constexpr size_t kShown = 20;                      // changes of a binary that are listed without `all`
constexpr size_t kMostFiles = 3, kMostRanges = 4;  // that a change is said to come from

bool differs(const ComparedBinary& b) {
  return b.only_before || b.only_after || !b.renamed_from.empty() || !b.difference.functions.empty() ||
         !b.difference.variables.empty();
}

uint64_t weight(const ComparedBinary& b) {
  return b.difference.functions.size() + b.difference.variables.size();
}

/// "3 changed, 1 new, 2 removed".
std::string counts(const std::vector<ImageChange>& changes) {
  std::string text;
  const std::pair<Kind, const char*> kinds[] = {
      {Kind::changed, "changed"}, {Kind::added, "new"}, {Kind::removed, "removed"}};
  for (const auto& [kind, word] : kinds) {
    const auto n = std::count_if(changes.begin(), changes.end(), [k = kind](const auto& c) { return c.kind == k; });
    if (n != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", with_thousands(static_cast<uint64_t>(n)), word);
  }
  return text.empty() ? "none" : text;
}

class CompareWriter {
 public:
  CompareWriter(const CompareReport& report, const CompareTextOptions& options)
      : report_(report), options_(options), paint_(options.color) {
    for (const ComparedBinary& b : report.binaries) {
      if (differs(b)) different_.push_back(&b);
    }
    std::stable_sort(different_.begin(), different_.end(),
                     [](const auto* a, const auto* b) { return weight(*a) > weight(*b); });
  }

  std::string write() {
    write_outcome();
    for (const ComparedBinary* b : different_) write_binary(*b);
    out_ += compare_facts_text(report_, options_);
    write_noise();
    return std::move(out_);
  }

 private:
  void write_outcome() {
    const std::string of = counted(report_.binaries.size(), "binary", "binaries");
    if (is_same(report_)) {
      out_ += wrapped(paint_(Ink::good, "same: "), fmt::format("no function and no variable differs in {}", of));
    } else {
      std::vector<ImageChange> functions, variables;
      size_t exports = 0;
      for (const ComparedBinary& b : report_.binaries) exports += b.exports.size();
      for (const ComparedBinary* b : different_) {
        const diff::ImageDifference& d = b->difference;
        functions.insert(functions.end(), d.functions.begin(), d.functions.end());
        variables.insert(variables.end(), d.variables.begin(), d.variables.end());
      }
      std::string text = fmt::format("functions: {}; variables: {}", counts(functions), counts(variables));
      if (!different_.empty()) text += fmt::format("; in {} of {}", with_thousands(different_.size()), of);
      if (exports != 0) text += fmt::format("; exported symbols: {}", with_thousands(exports));
      if (!report_.facts.types.empty()) text += fmt::format("; types: {}", with_thousands(report_.facts.types.size()));
      out_ += wrapped(paint_(Ink::warn, "different: "), text);
    }
    out_ += fmt::format("\n  before  {}\n  after   {}\n", report_.before, report_.after);
  }

  void write_binary(const ComparedBinary& binary) {
    const std::string name = paint_(Ink::strong, binary.name);
    if (binary.only_before || binary.only_after) {
      out_ += fmt::format("\n{}: only in the {} build\n", name, binary.only_before ? "first" : "second");
      return;
    }
    const diff::ImageDifference& d = binary.difference;
    const std::string renamed =
        binary.renamed_from.empty() ? "" : fmt::format(" renamed from {};", binary.renamed_from);
    out_ += fmt::format("\n{}:{} functions: {} of {}; variables: {} of {}\n", name, renamed, counts(d.functions),
                        with_thousands(d.compared), counts(d.variables), with_thousands(d.compared_variables));
    if (options_.stat) return;
    if (binary.without_lines)
      out_ += "  source lines are not known: a build has no debug information that can be read\n";
    write_changes(d.functions, binary.details, "functions");
    write_changes(d.variables, {}, "variables");
  }

  void write_changes(const std::vector<ImageChange>& changes, const std::vector<ChangeDetail>& details,
                     std::string_view what) {
    const size_t shown = options_.all ? changes.size() : std::min(changes.size(), kShown);
    for (size_t i = 0; i < shown; ++i) {
      write_change(changes[i]);
      if (i < details.size()) write_origin(details[i].origin);
    }
    if (shown < changes.size())
      out_ += fmt::format("  and {} more {} (--all lists them)\n", with_thousands(changes.size() - shown), what);
  }

  void write_change(const ImageChange& change) {
    const char* word = change.kind == Kind::changed ? "changed" : change.kind == Kind::added ? "new" : "removed";
    std::string name = change.name;
    if (!change.file.empty()) name += fmt::format(" ({})", change.file);
    const std::string size = change.old_size != 0 && change.new_size != 0 && change.old_size != change.new_size
                                 ? fmt::format("{} -> {} bytes", change.old_size, change.new_size)
                                 : fmt::format("{} bytes", std::max(change.old_size, change.new_size));
    const std::string line = fmt::format("  {} {} {}", padded(word, 8), padded(name, 44), padded(size, 22));
    if (change.reason.empty()) {
      out_ += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    } else if (columns(line) + 1 + columns(change.reason) <= kTextWidth) {
      out_ += fmt::format("{} {}\n", line, change.reason);
    } else {
      out_ += line.substr(0, line.find_last_not_of(' ') + 1) + "\n" + wrapped(std::string(11, ' '), change.reason);
    }
  }

  void write_origin(const diff::ChangeOrigin& origin) {
    const bool only_gone = origin.after.empty();
    const std::string text = origin_text(only_gone ? origin.before : origin.after, kMostFiles, kMostRanges);
    if (!text.empty()) out_ += wrapped(only_gone ? "           was " : "           from ", text);
  }

  void write_noise() {
    std::map<std::string, uint64_t> noise;
    for (const ComparedBinary& b : report_.binaries) {
      for (const auto& [name, count] : b.difference.noise) noise[name] += count;
    }
    std::string text;
    for (const auto& [name, count] : noise)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, with_thousands(count));
    if (!text.empty()) out_ += "\n" + wrapped("not counted as differences: ", text);
    out_ += fmt::format("\ntook {:.2f} s\n", static_cast<double>(report_.total_ms) / 1000);
  }

  const CompareReport& report_;
  const CompareTextOptions& options_;
  Paint paint_;
  std::vector<const ComparedBinary*> different_;
  std::string out_;
};

}  // namespace

bool is_same(const CompareReport& report) {
  return report.facts.types.empty() && std::none_of(report.binaries.begin(), report.binaries.end(),
                                                    [](const auto& b) { return differs(b) || !b.exports.empty(); });
}

std::string compare_text(const CompareReport& report, const CompareTextOptions& options) {
  return CompareWriter(report, options).write();
}

}  // namespace klp::report
