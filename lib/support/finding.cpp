#include "support/finding.h"

#include <algorithm>
#include <array>

namespace klp {
namespace {

constexpr std::array<std::string_view, 5> kAcceptable = {"init-code", "exit-code", "changed-data", "changed-layout",
                                                         "changed-prototype"};

int rank(const Finding& finding) {
  if (finding.severity == Severity::warning) return 10;
  if (finding.severity == Severity::note) return 11;
  if (finding.code == "patch-does-not-apply") return 0;
  if (finding.code == "changed-layout") return 1;
  if (finding.code == "missing-symbol" || finding.code == "not-traceable") return 2;
  if (finding.code == "changed-prototype") return 3;
  if (finding.code == "changed-data") return 4;
  return 5;
}

bool matches(const Finding& finding, std::string_view spec) {
  const size_t colon = spec.find(':');
  if (finding.code != spec.substr(0, colon)) return false;
  return colon == std::string_view::npos || finding.symbol == spec.substr(colon + 1);
}

/// The part of a hint before the one that says how to accept.
std::string without_accept(const std::string& hint) {
  const size_t at = hint.find("--accept");
  if (at == hint.npos) return hint;
  const size_t end = hint.rfind(';', at);
  return end == hint.npos ? std::string() : hint.substr(0, end);
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::refusal:
      return "refusal";
    case Severity::warning:
      return "warning";
    case Severity::note:
      break;
  }
  return "note";
}

bool is_acceptable_code(std::string_view code) {
  return std::find(kAcceptable.begin(), kAcceptable.end(), code) != kAcceptable.end();
}

bool Findings::has_refusal() const {
  return std::any_of(list_.begin(), list_.end(), [](const Finding& f) { return f.severity == Severity::refusal; });
}

std::vector<Finding> Findings::sorted() const {
  std::vector<Finding> result = list_;
  std::stable_sort(result.begin(), result.end(), [](const Finding& a, const Finding& b) { return rank(a) < rank(b); });
  return result;
}

std::vector<std::string> Findings::accept(const std::vector<std::string>& specs) {
  std::vector<std::string> unused;
  for (const std::string& spec : specs) {
    bool used = false;
    for (Finding& finding : list_) {
      if (finding.severity != Severity::refusal || !finding.acceptable || !is_acceptable_code(finding.code) ||
          !matches(finding, spec))
        continue;
      finding.severity = Severity::warning;
      finding.message += " (accepted)";
      finding.hint = without_accept(finding.hint);
      used = true;
    }
    if (!used) unused.push_back(spec);
  }
  return unused;
}

}  // namespace klp
