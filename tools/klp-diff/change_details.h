// What a look at the changed functions of a binary adds to their list: --why and --html of compare.
#pragma once

#include <string>
#include <vector>

#include "code_view.h"
#include "report/compare_report.h"

namespace klp::tools {

/// For each of `functions`, in their order. `old_binary` and `binary` are the names on either side.
std::vector<report::ChangeDetail> change_details(const ComparedSide& before, const std::string& old_binary,
                                                 const ComparedSide& after, const std::string& binary,
                                                 const std::vector<diff::ImageChange>& functions, bool with_code);

}  // namespace klp::tools
