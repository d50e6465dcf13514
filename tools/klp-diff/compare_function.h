// compare --function: one function of two builds, side by side.
#pragma once

#include <string>

#include "code_view.h"
#include "compare_sides.h"
#include "report/function_report.h"

namespace klp::tools {

struct FunctionQuestion {
  std::string name;     ///< "sk_free", or "vmlinux:sk_free" where several binaries have it
  SourceTrees sources;  ///< as given; else those of fetched kernels
  bool all = false;     ///< also the instructions far from those that differ
};

/// Everything but names of the builds and version. Error when no binary, or more than one, has such a function; it
/// names functions with a similar name.
report::FunctionReport look_at_function(const ComparedSide& before, const ComparedSide& after,
                                        const FunctionQuestion& question);

}  // namespace klp::tools
