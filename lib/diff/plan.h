// Planning: from the closure to the finished content of a patch object, and the refusals met on the way.
#pragma once

#include <map>
#include <string>

#include "diff/closure.h"
#include "diff/livepatch_module.h"
#include "support/finding.h"

namespace klp::diff {

struct PlanInput {
  const Pieces* patched = nullptr;
  const Tables* tables = nullptr;
  const ReferencePolicy* policy = nullptr;
  const ReferenceContext* context = nullptr;
  std::vector<Carried> carried;
  std::string unit, source;
  std::vector<std::pair<const Piece*, PlanFunction>> functions;  ///< replaced leaders with old name and position
  std::set<std::string, std::less<>> wanted;                     ///< names of new globals that other units refer to
  bool keep_new_globals = false;                                 ///< all of them, as UnitInput::carry_new_globals
  bool ignore_lateness = false;                                  ///< as UnitInput::ignore_lateness
  std::unordered_set<const Piece*> shared;                       ///< functions that other units call by their names
  std::vector<std::pair<const Piece*, elf::CallbackKind>> callbacks;
  std::vector<PlanState> states;
};

struct PlanResult {
  PatchObject object;
  std::map<std::string, size_t> special_entries;  ///< table to number of entries
  std::map<std::string, size_t> tested_keys;      ///< the same, of entries that became tests of their keys
  size_t klp_relocations = 0;
};

/// Decides every reference of what is carried. Refusals go to `findings` (all of them); the plan is usable only when
/// there was none.
PlanResult plan(const PlanInput& input, Findings& findings);

}  // namespace klp::diff
