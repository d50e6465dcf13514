// A function's instructions as the page of `compare --html` has them: short, for the page's script to unfold
// (lib/report/page/compare.js).
#pragma once

#include <string>
#include <vector>

#include "diff/side_by_side.h"
#include "report/function_report.h"

namespace klp::report {

/// Lines; in each a letter and fields that tabs part:
///   p NAME OLD-SIZE NEW-SIZE   a part begins
///   s OLD-PLACE NEW-PLACE      "array.c:12  return x;": where the code behind it comes from, with the line's text as
///   far
///                              as it is known; empty: as before
///   e OLD-OFFSET NEW-OFFSET TEXT [NEW-TEXT]    equal; offsets in hex
///   n, c OLD-OFFSET NEW-OFFSET TEXT NEW-TEXT   noise, changed
///   r, a OFFSET TEXT                           removed, added
///   g COUNT                                    equal ones left out
///   x COUNT                                    rows left out at the end of a part, most of which may be equal
std::string page_code(const std::vector<diff::CodePart>& parts, const SourceText& old_source = {},
                      const SourceText& new_source = {});

}  // namespace klp::report
