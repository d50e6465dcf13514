// Run-time constants: values that the kernel writes into its own code when it boots, so that the code need not load
// them (include/asm/runtime-const.h, Linux 6.11 on). The module loader leaves the placeholders in a module's code; our
// module writes the values itself, from the same variables of the running kernel, before any function is replaced.
#pragma once

#include "diff/plan.h"

namespace klp::diff {

/// Where the value of a constant comes from.
struct RunTimeConstant {
  Decision variable;           ///< klp, plain, or refuse
  uint64_t variable_size = 0;  ///< bytes, as shipped
};

/// `entry` is of a table with a constant_size and belongs to `function`. The section's name tells the variable, which
/// is looked up as if the function referred to it. Refused: a variable that the running kernel lacks, that is new
/// (nobody gives it a value), or whose size cannot be; code of a module, which the kernel compiles without such
/// constants; a place that the kernel rewrites for another reason.
RunTimeConstant run_time_constant(const TableEntry& entry, const Piece& function, const PlanInput& input);

}  // namespace klp::diff
