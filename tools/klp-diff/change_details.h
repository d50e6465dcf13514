// What a look at the changed functions of a binary adds to their list: --why and --html of compare.
#pragma once

#include <string>

#include "code_view.h"
#include "report/compare_report.h"

namespace klp::tools {

/// Fills `binary.details`. `old_name` is its name on the first side. Code has the text of its lines where `trees` has
/// it.
void add_details(const ComparedSide& before, const std::string& old_name, const ComparedSide& after,
                 report::ComparedBinary& binary, bool with_code, const SourceTrees& trees);

}  // namespace klp::tools
