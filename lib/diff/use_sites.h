// Pairing variables by their uses, where neither name nor debug information says which is which.
//
// gcc numbers static locals and compound literals, and the numbers shift with every change in the file. But a function
// or variable that is the same on both sides but for such numbers uses the same variable at the same place. What is
// used only by code that changed proves little: it counts only when no second candidate is left on either side.
#pragma once

#include <utility>
#include <vector>

#include "diff/pieces.h"

namespace klp::diff {

class Correlation;

/// Variables that may be one another: of one name, size and kind of section. Neither side has pairs yet.
struct OpenGroup {
  std::vector<const Piece*> original, patched;
};

struct UsePair {
  const Piece* original = nullptr;
  const Piece* patched = nullptr;
  const char* rule = "";
};

/// One round: the pairs that the pieces paired in `known` prove. Variables that got contradicting evidence get none.
/// Objects among the pairs may prove further ones in the next round.
std::vector<UsePair> pair_by_uses(const Pieces& original, const Pieces& patched, const Correlation& known,
                                  const std::vector<OpenGroup>& groups);

/// Whether some paired piece uses `a` on the one side and `b` on the other.
bool have_common_user(const Pieces& original, const Pieces& patched, const Correlation& known, const Piece& a,
                      const Piece& b);

}  // namespace klp::diff
