// The finished module is re-read and held against its plan: what the linker and the last step made of it must be what
// was decided.
#pragma once

#include <vector>

#include "diff/livepatch_module.h"
#include "elf/elf_object.h"

namespace klp::verify {

/// Throws Error for the first thing that is not as planned: a replaced function or carried symbol that is missing or
/// not a function, a relocation of another type, place, target or addend, a klp relocation too many, a travel name
/// left, an entry of the tables of replaced functions, callbacks or states that differs. `module` is the final .ko.
void check_against_plan(const elf::ElfObject& module, const std::vector<diff::PatchObject>& plan);

}  // namespace klp::verify
