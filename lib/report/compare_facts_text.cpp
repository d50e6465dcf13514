// The part of the text of `klp-diff compare` that is about neither functions nor variables.
#include <algorithm>

#include <fmt/format.h>

#include "report/compare_report.h"
#include "report/text_layout.h"

namespace klp::report {
namespace {

using diff::Fact;

constexpr size_t kShown = 10;

std::string counts(const std::vector<Fact>& facts) {
  const std::pair<Fact::Kind, const char*> kinds[] = {
      {Fact::Kind::changed, "changed"}, {Fact::Kind::added, "new"}, {Fact::Kind::removed, "removed"}};
  std::string text;
  for (const auto& [kind, word] : kinds) {
    const auto n = std::count_if(facts.begin(), facts.end(), [k = kind](const Fact& f) { return f.kind == k; });
    if (n != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", with_thousands(static_cast<uint64_t>(n)), word);
  }
  return text;
}

void write(std::string& out, std::string_view title, const std::vector<Fact>& facts,
           const CompareTextOptions& options) {
  if (facts.empty()) return;
  out += fmt::format("\n{}: {}\n", Paint(options.color)(Ink::strong, title), counts(facts));
  if (options.stat) return;
  const size_t shown = options.all ? facts.size() : std::min(facts.size(), kShown);
  for (size_t i = 0; i < shown; ++i) {
    const char* words[] = {"changed", "new", "removed"};
    const std::string start = fmt::format("  {} {} ", padded(words[static_cast<size_t>(facts[i].kind)], 8),
                                          padded(facts[i].name, facts[i].detail.empty() ? 0 : 44));
    out += facts[i].detail.empty() ? start.substr(0, start.find_last_not_of(' ') + 1) + "\n"
                                   : wrapped(start, facts[i].detail);
  }
  if (shown < facts.size())
    out += fmt::format("  and {} more (--all lists them)\n", with_thousands(facts.size() - shown));
}

}  // namespace

std::string compare_facts_text(const CompareReport& report, const CompareTextOptions& options) {
  std::string out;
  std::vector<Fact> exports;
  for (const ComparedBinary& b : report.binaries) {
    for (Fact fact : b.exports) {
      if (report.binaries.size() > 1) fact.name += fmt::format(" ({})", b.name);
      exports.push_back(std::move(fact));
    }
  }
  write(out, "exported symbols", exports, options);
  write(out, "types", report.facts.types, options);
  write(out, "configuration", report.facts.config, options);
  write(out, "compiler", report.facts.compiler, options);
  for (const ComparedBinary& b : report.binaries) {
    for (const std::string& what : b.difference.not_compared) out += "\n" + wrapped("not compared: ", what);
  }
  for (const std::string& what : report.facts.not_compared) out += "\n" + wrapped("not compared: ", what);
  return out;
}

}  // namespace klp::report
