// Functions that are called, or call, with another prototype than the running kernel's. Used by check_types.
#pragma once

#include "diff/type_changes.h"
#include "elf/layout_compare.h"

namespace klp::diff {

/// Findings changed-prototype and changed-abi for the functions that the unit's carried code calls or defines.
/// `comparer` compares `original` with `patched`, the types of the unit's two objects.
void check_prototypes(const TypeInput& input, const elf::TypeTable& original, const elf::TypeTable& patched,
                      elf::LayoutComparer& comparer, Findings& findings);

/// Leaders of functions that changed, or are new and carried, in the order of the patched object. Others that are
/// carried have the code of the running kernel, which therefore fits.
std::vector<const Piece*> functions_of_patch(const TypeInput& input);

}  // namespace klp::diff
