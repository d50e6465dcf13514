// Binaries that one side of `compare` has under another name.
#pragma once

#include <vector>

#include "compare_sides.h"
#include "report/compare_report.h"

namespace klp::tools {

/// Of binaries that only one side has, joins those that are one: more than half of the functions' names of either are
/// in the other, and in no third as many. The joined ones stand under their new name.
void join_renamed(const ComparedSide& before, const ComparedSide& after, std::vector<report::ComparedBinary>& binaries);

}  // namespace klp::tools
