// What `klp-diff compare` prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "diff/build_facts.h"
#include "diff/image_compare.h"
#include "diff/side_by_side.h"

namespace klp::report {

/// What a look at a changed function adds.
struct ChangeDetail {
  diff::ChangeOrigin origin;  ///< the source lines of what differs
  std::string code;           ///< page_code.h; empty when it was not asked for
};

/// One binary that either side has.
struct ComparedBinary {
  std::string name;  ///< "vmlinux", "xfs.ko"
  bool only_before = false, only_after = false;
  diff::ImageDifference difference;   ///< when both sides have it
  std::vector<ChangeDetail> details;  ///< of difference.functions, in their order; empty: nobody asked
  std::vector<diff::Fact> exports{};
  std::string old_name{};      ///< on the first side, where that is another
  std::string renamed_from{};  ///< the same where it is told
  bool without_lines = false;  ///< of functions: they were asked for, and one side's debug information cannot be read
};

/// What differs beside functions, variables and exported symbols.
struct CompareFacts {
  std::vector<diff::Fact> types, config, compiler;
  std::vector<std::string> not_compared;  ///< what could not be looked at, and why
};

struct CompareReport {
  std::string version;        ///< of klp-diff
  std::string before, after;  ///< what was compared, as the user named it
  std::vector<ComparedBinary> binaries;
  long total_ms = 0;
  CompareFacts facts{};
};

/// Whether no binary differs, in its name, functions, variables or exported symbols, and no type. Other options or
/// another compiler that changed none of these are told and are no difference.
bool is_same(const CompareReport& report);

struct CompareTextOptions {
  bool color = false;
  bool all = false;   ///< every function and variable, not only the largest of each binary
  bool stat = false;  ///< a line for each binary, nothing more
};

/// For people, the outcome in the first line, binaries with most changes first.
std::string compare_text(const CompareReport& report, const CompareTextOptions& options);

/// Its part about exported symbols, types, the configuration and the compiler; empty when nothing is to be said.
std::string compare_facts_text(const CompareReport& report, const CompareTextOptions& options);

/// The document of the schema: outcome "same" or "different"; binaries without a difference are left out of "units".
std::string compare_json(const CompareReport& report);

/// One page for a browser, which needs nothing else: search, filters, and the functions' code where `details` have it.
/// At most about 15 MB: what of the code is left out is said in it.
std::string compare_html(const CompareReport& report);

/// What the page's script lists, as JSON. `places`: for each binary and function its number in the binary's code, or
/// -1; `left_out`: functions whose code found no room.
std::string page_index_json(const CompareReport& report, const std::vector<std::vector<long>>& places, size_t left_out);

}  // namespace klp::report
