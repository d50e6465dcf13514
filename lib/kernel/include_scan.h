// Which unit reaches which file by #include.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/index.h"

namespace klp::kernel {

/// What an #include line names.
struct IncludeLine {
  std::string path;
  bool quoted = false;  ///< "x": looked for beside the including file first
  bool operator==(const IncludeLine&) const = default;
};

/// The files that a source text names: #include lines whatever the conditions around them, file names given to a macro
/// for a later #include MACRO, and what TRACE_INCLUDE_FILE says.
std::vector<IncludeLine> find_includes(std::string_view text);

/// Include directories in order and files given with -include, of a compile command, relative to the source's root.
struct IncludePaths {
  std::vector<std::string> directories;
  std::vector<std::string> forced;
};
IncludePaths include_paths(std::string_view command);

/// For each file of the tree that any unit reaches (its own source not counted): the numbers of the units, in the order
/// of the map, ascending. Takes a few seconds. Files that do not exist (not generated yet, compiler's own) are left
/// out.
std::map<std::string, std::vector<uint32_t>> scan_includes(const std::filesystem::path& source,
                                                           const std::map<std::string, Unit>& units);

}  // namespace klp::kernel
