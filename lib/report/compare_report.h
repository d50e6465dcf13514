// What `klp-diff compare` prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "diff/image_compare.h"

namespace klp::report {

/// One binary that either side has.
struct ComparedBinary {
  std::string name;  ///< "vmlinux", "xfs.ko"
  bool only_before = false, only_after = false;
  diff::ImageDifference difference;  ///< when both sides have it
};

struct CompareReport {
  std::string version;        ///< of klp-diff
  std::string before, after;  ///< what was compared, as the user named it
  std::vector<ComparedBinary> binaries;
  long total_ms = 0;
};

/// Whether no binary differs.
bool is_same(const CompareReport& report);

struct CompareTextOptions {
  bool color = false;
  bool all = false;   ///< every function and variable, not only the largest of each binary
  bool stat = false;  ///< a line for each binary, nothing more
};

/// For people, the outcome in the first line, binaries with most changes first.
std::string compare_text(const CompareReport& report, const CompareTextOptions& options);

/// The document of the schema: outcome "same" or "different"; binaries without a difference are left out of "units".
std::string compare_json(const CompareReport& report);

}  // namespace klp::report
