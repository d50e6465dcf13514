// The strings that a patch object carries, gathered into one section.
#pragma once

#include <vector>

#include "arch/arch.h"
#include "diff/livepatch_module.h"
#include "diff/piece.h"

namespace klp::diff {

/// A relocation whose addend waits for the place of its string.
struct StringUse {
  Reference reference;
  size_t section = 0;   ///< of the plan
  uint64_t offset = 0;  ///< of the relocation in it: others may be taken away before the end
};

/// Copies the strings of `uses` into the plan's section number `section`, and fills in the addends of `uses`. Strings
/// keep the order they have in the object and stay neighbours if they were: the compiler writes "one past the end" of a
/// string as it writes the start of the next one. Error for an alignment that no module can have.
void lay_out_strings(PatchObject& object, size_t section, const std::vector<StringUse>& uses, const arch::Arch& arch);

}  // namespace klp::diff
