// Why a function of a linked binary is gone or new: another optimisation made it part of others.
#pragma once

#include <string>

#include "compare_sides.h"
#include "report/compare_report.h"

namespace klp::tools {

/// Fills the reasons of static functions that are inlined now, or were before, where the debug information tells.
/// `old_name` is the binary's name on the first side.
void tell_inlined(const ComparedSide& before, const std::string& old_name, const ComparedSide& after,
                  report::ComparedBinary& binary);

}  // namespace klp::tools
