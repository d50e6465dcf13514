// The types of a unit's two objects and what differs between them, read once for those who judge (type_changes.h) and
// for those who explain (type_blame.h).
#pragma once

#include <functional>
#include <vector>

#include "diff/pieces.h"
#include "diff/type_use.h"
#include "elf/layout_compare.h"
#include "elf/types.h"

namespace klp::diff {

struct UnitTypes {
  /// Reads the debug information of both objects, which must outlive it. Malformed DWARF is an Error.
  UnitTypes(const Pieces& original_pieces, const Pieces& patched_pieces);
  UnitTypes(const UnitTypes&) = delete;
  UnitTypes& operator=(const UnitTypes&) = delete;

  /// Whether both objects have debug information: without it, nothing differs that is seen.
  bool known() const { return !original.empty() && !patched.empty(); }

  const elf::TypeTable original, patched;
  elf::LayoutComparer comparer;
  const TypeUse original_use, patched_use;
  const std::vector<elf::LayoutComparison> differences;  ///< LayoutComparer::differences()
};

/// Gives a unit's types, which it reads when it is called for the first time.
using TypesOnDemand = std::function<UnitTypes&()>;

}  // namespace klp::diff
