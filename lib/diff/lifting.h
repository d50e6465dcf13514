// Lifting: what cannot be redirected itself is carried anew and used by functions that can be. Step 7 of the data flow.
//
// A changed function without an ftrace site is called by copies of its callers, a changed read-only table is read by
// copies of its readers; callers without a site are treated in the same way, until every root can be redirected. All
// who use the old one must be found: what stores an address, or keeps its users out of sight, is a refusal.
#pragma once

#include "diff/roots.h"

namespace klp::diff {

/// Completes `roots`, whose functions are chosen already. `without_site`: changed functions that cannot be redirected,
/// with what changed. What speaks against lifting goes to `findings`. Ends on recursion; the order of the roots is that
/// of the object's pieces, level by level.
void lift(const RootsInput& input, const std::vector<Root>& without_site, Roots& roots, Findings& findings);

}  // namespace klp::diff
