// Alternatives with references into the patched module. The kernel copies an alternative's code over its site while it
// loads a module (arch/*/kernel/alternative.c: apply_alternatives); livepatch fills in such references only when the
// patched module is there: at a site, over the code that was copied to it; in a replacement, where nobody runs it. So
// code with such a reference moves behind its function, where nothing rewrites it, and in its place is a jump to it.
// Each case, the site's own code and each replacement, moves for itself. That holds before and after the module comes,
// and there is nothing to undo.
#pragma once

#include <optional>
#include <vector>

#include "diff/closure.h"
#include "diff/key_tests.h"
#include "diff/plan_sections.h"
#include "diff/references.h"
#include "diff/tables.h"

namespace klp::diff {

/// Bytes of a jump (Arch::jump_away).
inline constexpr std::byte kJumpSize{5};

/// Code to be moved.
struct Detour {
  const Piece* from = nullptr;  ///< the function, or the piece of replacement code
  uint64_t start = 0, end = 0;  ///< in it
  uint64_t site = 0, back = 0;  ///< in the function: the alternative's place, and where its code goes on
};

/// What decides it; all must outlive the calls.
struct DetourContext {
  const Pieces* patched = nullptr;
  const Tables* tables = nullptr;
  const ReferencePolicy* policy = nullptr;
  bool none = false;  ///< nothing moves: UnitInput::ignore_lateness
};

/// The sites of a function's alternatives whose own code has late references and means the same elsewhere: whole
/// instructions that no other table knows, that change no unwind state, and that reach the function around them in no
/// other way than by going on. By place. What is not among them is for the plan to refuse.
std::vector<Detour> site_detours(const Piece& function, const DetourContext& context);

/// The same for the code that an alternative brings.
std::optional<Detour> replacement_detour(const TableEntry& entry, const Fragment& fragment, const Piece& function,
                                         const DetourContext& context);

/// The moved code for the plan, with what was done in words.
PlanLateEntry planned(const Detour& detour, const Piece& function, const DetourContext& context);

/// Copies the code, which is at `at` of the plan's section number `section`, and its relocations to the end of the
/// function `symbol`, which grows, and leaves the jump, followed by NOPs.
AppendedCode place(const Detour& detour, PlanSections& plan, size_t section, uint64_t at, size_t symbol);

}  // namespace klp::diff
