// References that leave the patch module: whether the module loader can make a field lead there.
#pragma once

#include <optional>
#include <string>

#include "arch/arch.h"
#include "diff/livepatch_module.h"
#include "diff/piece.h"

namespace klp::diff {

/// A field that is to refer to `name`, which lies in the kernel or in another module.
struct OutsideReference {
  const PatchObject& object;
  const PlanSection& section;
  const PlanRelocation& planned;
  const std::string& name;
  bool branch = false;
  bool late = false;         ///< the loader fills it in when another module is loaded
  uint64_t code_offset = 0;  ///< of the field, counted from the function's symbol; for messages
};

struct Obstacle {
  std::string code, message, hint;
};

/// What speaks against it: the field is too short, it is write-protected when the other module comes, or the call has
/// not the form that the loader needs.
std::optional<Obstacle> obstacle_outside(const arch::Arch& arch, const OutsideReference& reference);

}  // namespace klp::diff
