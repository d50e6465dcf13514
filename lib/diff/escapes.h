// Addresses of the patch module that outlive it: a new function or table stored in a live object (a timer, an RCU head,
// an ops pointer) dangles once the livepatch is unloaded or replaced.
//
// What the code does with such an address is followed through straight code only. Stored where the stack is not, the
// module must stay in memory for good; passed to a call, or not known, the author must see to it. Both are warnings.
// Addresses of strings and of constants without pointers are no concern: their users read them at once.
#pragma once

#include <string>
#include <vector>

#include "diff/closure.h"
#include "support/finding.h"

namespace klp::diff {

/// Looks at all carried functions. `policy` tells which references stay in the module. True: some address is stored.
bool find_escapes(const Pieces& patched, const ReferencePolicy& policy, const std::vector<Carried>& carried,
                  const std::string& object, const std::string& unit, Findings& findings);

}  // namespace klp::diff
