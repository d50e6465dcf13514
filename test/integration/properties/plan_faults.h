// A second opinion on a plan: each relocation of a carried function must mean what the patched object's means.
#pragma once

#include <string>

#include "diff/livepatch_module.h"
#include "elf/elf_object.h"

namespace klp::test {

/// What is wrong with the functions of `plan`, one line each; empty when nothing is. Of every relocated field: same
/// place, type and symbol, or the same bytes behind it; and fields that refer to one string refer to one copy of it.
std::string plan_faults(const elf::ElfObject& patched, const diff::PatchObject& plan);

}  // namespace klp::test
