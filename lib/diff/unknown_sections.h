// Sections that may be kernel tables which nobody here knows.
#pragma once

#include "diff/plan.h"

namespace klp::diff {

/// An allocated section of unknown meaning that refers to a carried function may be a table of which nothing must be
/// lost: the refusal `unsupported-section`, one for each such section.
void report_unknown_sections(const PlanInput& input, Findings& findings);

}  // namespace klp::diff
