#include "diff/unit_types.h"

namespace klp::diff {

UnitTypes::UnitTypes(const Pieces& original_pieces, const Pieces& patched_pieces)
    : original(elf::TypeTable::from_dwarf(original_pieces.object())),
      patched(elf::TypeTable::from_dwarf(patched_pieces.object())),
      comparer(original, patched),
      original_use(original, original_pieces),
      patched_use(patched, patched_pieces),
      differences(known() ? comparer.differences() : std::vector<elf::LayoutComparison>()) {}

}  // namespace klp::diff
