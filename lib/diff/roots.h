// Roots: what the module is made for, before anything is followed from it: functions that are redirected, new globals
// that other units need, callbacks. Step 7 of the data flow; final once chosen.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "diff/author_marks.h"
#include "diff/closure.h"
#include "diff/compare.h"
#include "diff/engine.h"
#include "diff/identity.h"
#include "diff/outside_uses.h"
#include "diff/unit_findings.h"

namespace klp::diff {

/// One unit's values of the steps before. All must outlive the call; `identity` is null when no shipped binary is
/// known.
struct RootsInput {
  const UnitInput* unit = nullptr;
  const Pieces* original = nullptr;
  const Pieces* patched = nullptr;
  const Tables* patched_tables = nullptr;
  const Correlation* correlation = nullptr;
  const ChangeSet* changes = nullptr;
  const Identity* identity = nullptr;
  const AuthorMarks* marks = nullptr;
};

struct Roots {
  std::vector<Root> roots;
  std::unordered_set<const Piece*> replaced;  ///< leaders among the roots whose copy is called instead of the original
  std::unordered_set<const Piece*> lifted;    ///< those that did not change themselves
  /// Changed read-only data that is carried with its readers, and what changed.
  std::unordered_map<const Piece*, std::string> anew;
  std::unordered_set<const Piece*> shared;    ///< functions that callers in other units must find by name
  std::vector<OutsideCaller> outside;         ///< these callers
  std::vector<const DataChange*> refused_data;
  std::vector<std::pair<const Piece*, elf::CallbackKind>> callbacks;
};

/// Everything that speaks against a root goes to `findings`. In the order of the patched object's pieces.
Roots choose_roots(const RootsInput& input, Findings& findings);

/// Whether the author has this change left out, which is reported.
bool leave_out(const AuthorMarks& marks, const Pieces& patched, const Piece& piece, std::string_view reason,
               const UnitFindings& findings);

/// Whether the kernel finds a function's ftrace site, and no other one for it: that it can be redirected.
bool can_redirect(const RootsInput& input, const Piece& original);

/// Boot-time pieces, and those that only unloading uses.
bool is_init(const Piece& piece);
bool is_exit(const Piece& piece);

}  // namespace klp::diff
