#include "report/compare_filter.h"

#include <algorithm>

#include "support/error.h"

namespace klp::report {
namespace {

using diff::Fact;
using diff::ImageChange;
using Names = std::vector<std::string>;

const Names kKinds = {"changed", "new", "removed", "moved", "renamed"};

bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_kind(const std::string& name) {
  return contains(kKinds, name);
}

void check_names(const Names& given, const Names& known, std::string_view option) {
  for (const std::string& name : given) {
    if (contains(known, name)) continue;
    std::string list;
    for (const std::string& k : known) list += (list.empty() ? "" : ", ") + k;
    throw Error(fmt::format("{} {}: there is no such class", option, name), "known are " + list, ExitStatus::usage);
  }
}

class Filter {
 public:
  explicit Filter(const CompareFilter& filter) : filter_(filter) {
    for (const std::string& name : filter.only) (is_kind(name) ? only_kinds_ : only_subjects_).push_back(name);
  }

  /// Without a kind for what has none.
  bool lets(std::string_view subject, std::string_view kind = {}) const {
    if (contains(filter_.ignore, subject) || contains(filter_.ignore, kind)) return false;
    if (!only_subjects_.empty() && !contains(only_subjects_, subject)) return false;
    return only_kinds_.empty() || contains(only_kinds_, kind);
  }

  void apply(std::vector<ImageChange>& changes, std::string_view subject) const {
    std::erase_if(changes, [&](const ImageChange& c) { return !lets(subject, kind_of(c)); });
  }

  /// The details of functions stand in the order of the functions.
  void apply(ComparedBinary& b) const {
    std::vector<ImageChange> functions;
    std::vector<ChangeDetail> details;
    for (size_t i = 0; i < b.difference.functions.size(); ++i) {
      ImageChange& c = b.difference.functions[i];
      if (!lets("functions", kind_of(c))) continue;
      functions.push_back(std::move(c));
      if (!b.details.empty()) details.push_back(i < b.details.size() ? std::move(b.details[i]) : ChangeDetail());
    }
    b.difference.functions = std::move(functions);
    b.details = std::move(details);
    apply(b.difference.variables, "variables");
    apply(b.exports, "exports");
  }

  void apply(std::vector<Fact>& facts, std::string_view subject) const {
    const char* kinds[] = {"changed", "new", "removed"};
    std::erase_if(facts, [&](const Fact& f) { return !lets(subject, kinds[static_cast<size_t>(f.kind)]); });
  }

 private:
  static std::string_view kind_of(const ImageChange& c) {
    if (c.kind == ImageChange::Kind::added) return "new";
    if (c.kind == ImageChange::Kind::removed) return "removed";
    return c.reason.starts_with("moved from ")     ? "moved"
           : c.reason.starts_with("renamed from ") ? "renamed"
                                                   : "changed";
  }

  const CompareFilter& filter_;
  Names only_kinds_, only_subjects_;
};

std::string as_option(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

void bring_back(const Names& strict, diff::ImageDifference& d) {
  for (auto& [name, entries] : d.quiet) {
    if (!contains(strict, as_option(name))) continue;
    for (auto& [list, into] : {std::pair{&entries.functions, &d.functions}, {&entries.variables, &d.variables}})
      into->insert(into->end(), list->begin(), list->end());
    entries = {};
    d.noise.erase(name);
  }
}

}  // namespace

const Names& difference_classes() {
  static const Names names = {"functions", "variables", "binaries", "exports", "types", "config",
                              "compiler",  "changed",   "new",      "removed", "moved", "renamed"};
  return names;
}

const Names& noise_classes() {
  static const Names names = {as_option("build information"), as_option("line numbers"),
                              as_option("line numbers in tables"), as_option("moved to another file"),
                              as_option("per-cpu addresses")};
  return names;
}

void check_filter(const CompareFilter& filter) {
  check_names(filter.only, difference_classes(), "--only");
  check_names(filter.ignore, difference_classes(), "--ignore");
  check_names(filter.strict, noise_classes(), "--strict");
}

void apply_filter(const CompareFilter& filter, CompareReport& report) {
  const Filter passes(filter);
  for (ComparedBinary& b : report.binaries) {
    bring_back(filter.strict, b.difference);
    passes.apply(b);
  }
  for (ComparedBinary& b : report.binaries) {
    if (!passes.lets("binaries", "renamed")) b.renamed_from.clear();
  }
  std::erase_if(report.binaries, [&](const ComparedBinary& b) {
    return (b.only_before || b.only_after) && !passes.lets("binaries", b.only_after ? "new" : "removed");
  });
  passes.apply(report.facts.types, "types");
  passes.apply(report.facts.config, "config");
  if (!passes.lets("compiler", "changed")) report.facts.compiler.clear();
}

}  // namespace klp::report
