// Writing a plan as an object file. No decisions left.
#pragma once

#include "diff/livepatch_module.h"
#include "elf/object_builder.h"

namespace klp::diff {

/// The patch object: the plan's sections and symbols, klp references as weak undefined symbols with travel names, and
/// the table of replaced functions (klp_abi.h) with its strings.
elf::ObjectBuilder emit(const PatchObject& plan);

}  // namespace klp::diff
