// Types that a patch changed, and what that means for a kernel that runs with the old ones: findings changed-layout,
// changed-prototype and changed-abi.
//
// A livepatch replaces code, not the objects in memory that were made with the old layout, and not the callers in units
// that are not compiled anew. Step 10 of the data flow.
#pragma once

#include <vector>

#include "diff/closure.h"
#include "diff/compare.h"
#include "diff/engine.h"
#include "diff/unit_types.h"
#include "support/finding.h"

namespace klp::diff {

/// One unit's values of the steps before. All must outlive the call.
struct TypeInput {
  const UnitInput* unit = nullptr;
  const Pieces* original = nullptr;
  const Pieces* patched = nullptr;
  UnitTypes* types = nullptr;  ///< of original and patched
  const ChangeSet* changes = nullptr;
  const std::vector<Carried>* carried = nullptr;
};

/// For a unit whose code changed. Layouts are compared of every type that the unit's debug information has, for
/// constant-folded code leaves no trace of the types that it was made from. Without debug information a warning says
/// that nothing was compared.
void check_types(const TypeInput& input, Findings& findings);

}  // namespace klp::diff
