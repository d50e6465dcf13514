// Static branches on a key of the patched module. The kernel reads a module's jump labels while it loads it, when the
// key's address is not known yet (livepatch-reference 9.1), so such a branch cannot be switched. It tests the key each
// time instead: the site becomes a jump to code behind the function, which goes to either way as the key says. That
// holds before and after the module comes, needs no registration and nothing to undo.
#pragma once

#include <optional>
#include <vector>

#include "arch/key_test.h"
#include "diff/livepatch_module.h"
#include "diff/pieces.h"
#include "diff/tables.h"

namespace klp::diff {

struct KeyTest {
  uint64_t site = 0;  ///< in the function
  arch::KeyTestCode code;
  Reference key;    ///< its start
  Reference taken;  ///< where the branch goes when it is taken
};

/// The test in the place of a jump label's entry; nothing when the architecture has none for this site (on x86_64: it
/// is shorter than a jump of five bytes).
std::optional<KeyTest> key_test(const TableEntry& entry, const Piece& function, const Pieces& patched);

/// Where code that belongs to a site went, by offsets from its function's start.
struct AppendedCode {
  uint64_t site = 0, start = 0, end = 0;
};

/// Turns the site into a jump and appends the test to the function, which grows; relocations of the old site are
/// removed, those of the new code are the caller's to add.
AppendedCode place(const KeyTest& test, PlanSection& text, PlanSymbol& function);

}  // namespace klp::diff
