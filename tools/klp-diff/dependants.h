// Units that include a header that the patch touches: proven unaffected, or compiled.
#pragma once

#include <string>
#include <vector>

#include "kernel/workspace.h"
#include "pair_source.h"
#include "report/header_reach.h"

namespace klp::tools {

struct DependantInput {
  const std::vector<kernel::TouchedFile>& touched;
  kernel::CompileOptions compile;
  const std::vector<std::string>& accept;  ///< with changed-layout, any number of units is compiled
};

/// Proves by names, then by tokens, and compiles what is left; units whose objects differ join `pairs`, which hold the
/// units that the patch touches, compiled. Findings (refusals): `does-not-compile` naming unit and header; `asm-source`
/// and `special-image` for what cannot be redirected; `header-reach` for generated files (asm-offsets) that may change;
/// `changed-layout` when a type's layout changes and many units work on it.
report::HeaderReach find_dependants(kernel::Workspace& workspace, const DependantInput& input,
                                    std::vector<UnitPair>& pairs, Findings& findings);

}  // namespace klp::tools
