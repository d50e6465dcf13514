// What the author of a patch says about the livepatch by macros (lib/runtime/include): callbacks, states, changes to
// leave out. The macros leave sections in the patched object, which are read here and go no further.
//
//   .kpatch.callbacks.KIND     pointers to functions; kpatch's own header adds an empty pointer to a name
//   .klp_diff.states           {id, version}, 8 bytes each
//   .kpatch.ignore.functions   pointers to functions
//   .kpatch.ignore.sections    pointers to names of sections
//   .kpatch.force              pointers to functions
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "diff/livepatch_module.h"
#include "diff/pieces.h"
#include "support/finding.h"

namespace klp::diff {

struct AuthorMarks {
  struct Callback {
    elf::CallbackKind kind;
    const Piece* function = nullptr;
  };
  std::vector<Callback> callbacks;  ///< by kind
  std::vector<PlanState> states;    ///< by id, each once
  std::set<const Piece*> ignored_functions;
  std::set<std::string, std::less<>> ignored_sections;
  std::vector<const Piece*> forced;

  bool ignores(const Pieces& patched, const Piece& piece) const;
};

/// Reads the marks of the patched object. What cannot be meant goes to `findings` as refusals (code callback): a
/// callback that is no function of this file, two of one kind, a state with two versions or the id 0. Error for a
/// section that no such macro makes. Object and unit of the findings are left empty.
AuthorMarks read_author_marks(const Pieces& patched, Findings& findings);

/// Sections of such marks: what lies in them is never carried, also when another file could use it.
bool is_author_mark(const elf::Section& section);

/// What units of one livepatch may not say together, as refusals: two callbacks of one kind for one object, two
/// versions of one state. The kernel has one place for each, and the order of several calls would be nobody's decision.
Findings conflicts(const std::vector<PatchObject>& plans);

/// "pre-patch callback"
std::string callback_text(elf::CallbackKind kind);

}  // namespace klp::diff
