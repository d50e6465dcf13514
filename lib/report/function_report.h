// What `klp-diff compare --function` prints: a function of two builds, instruction by instruction.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "diff/side_by_side.h"

namespace klp::report {

/// The text of source lines by file and line, as far as it is known.
using SourceText = std::map<std::pair<std::string, unsigned>, std::string>;

struct FunctionReport {
  std::string version;        ///< of klp-diff
  std::string before, after;  ///< what was compared, as the user named it
  std::string binary;         ///< "vmlinux", "xfs.ko"
  /// Functions of the asked name, each followed by its .cold part.
  std::vector<diff::CodePart> parts;
  std::vector<std::string> reasons;  ///< what the comparison of the binaries says about them; empty: no difference
  diff::ChangeOrigin origin;
  SourceText old_source, new_source;
  std::string source_diff;         ///< unified, of the definitions that the code comes from
  std::vector<std::string> notes;  ///< what could not be shown, and why
};

/// Whether neither the instructions differ nor what belongs to the function beside them.
bool is_same(const FunctionReport& report);

struct FunctionTextOptions {
  bool color = false;
  size_t width = 120;  ///< columns
};

/// Two columns: before on the left. Between them `|` changed, `<` removed, `>` added, `~` only noise.
std::string function_text(const FunctionReport& report, const FunctionTextOptions& options);

/// The document of the schema with "code" in the functions (report_json.cpp).
std::string function_json(const FunctionReport& report);

/// "fs/proc/array.c:12-15,20": at most `most_ranges` of a file; what is left out is counted.
std::string origin_text(const std::vector<diff::SourceRanges>& origin, size_t most_files, size_t most_ranges);

}  // namespace klp::report
