// Which of the differences that `klp-diff compare` found it tells: --only, --ignore, --strict.
#pragma once

#include <string>
#include <vector>

#include "report/compare_report.h"

namespace klp::report {

struct CompareFilter {
  std::vector<std::string> only;    ///< of difference_classes(); empty: all
  std::vector<std::string> ignore;  ///< likewise
  std::vector<std::string> strict;  ///< of noise_classes(): these count as differences
};

/// What --only and --ignore take: "functions", "variables", "binaries", "exports", "types", "config", "compiler", and
/// the kinds "changed", "new", "removed", "moved" and "renamed" of functions, variables, exports and types.
const std::vector<std::string>& difference_classes();

/// What --strict takes: the names of noise with '-' for blanks, "line-numbers", "build-information", ...
const std::vector<std::string>& noise_classes();

/// Error that lists what is known when a name is none of them.
void check_filter(const CompareFilter& filter);

/// Leaves in the report what the filter lets through. First what is strict becomes a difference, then `only` and
/// `ignore` decide; several kinds, or several of what they are of, in `only` widen it.
void apply_filter(const CompareFilter& filter, CompareReport& report);

}  // namespace klp::report
