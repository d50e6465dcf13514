// What becomes of an object's address in a function that takes it, over all ways that lead on from there.
#pragma once

#include <cstdint>
#include <string_view>

#include "diff/pieces.h"
#include "diff/tables.h"

namespace klp::diff {

struct AddressFlow {
  enum class Kind {
    read,    ///< nothing but loads from it, or from what is computed from it
    passed,  ///< besides, it is an argument of a call
    stored,
    compared,
    returned,
    unknown  ///< it goes where nobody follows
  };
  Kind kind = Kind::unknown;
  uint64_t at = 0;  ///< offset in the function of the instruction that decides
};

/// Follows the addresses of `object` that `function` takes: through registers, branches, and the further ways that
/// table entries of the function describe (jump labels, exceptions). What is spilled to the stack counts as stored. A
/// comparison of two such addresses, or with the end of the object, is a read.
AddressFlow follow_address(const Pieces& pieces, const Tables& tables, const Piece& function, const Piece& object);

}  // namespace klp::diff
