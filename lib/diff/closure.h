// Closure: everything the module must carry, each piece with the reference that pulled it in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "diff/reference_graph.h"
#include "diff/references.h"
#include "diff/tables.h"

namespace klp::diff {

struct Carried {
  const Piece* piece = nullptr;
  const Piece* parent = nullptr;       ///< null for a root
  std::string because;                 ///< e.g. "called by meminfo_proc_show"; a root's reason
  std::vector<std::string> further{};  ///< of a root: the reasons behind `because`
};

struct Root {
  const Piece* piece = nullptr;  ///< leader
  std::string because;
  bool redirected = true;              ///< else carried only: what uses it is a root, too
  std::vector<std::string> further{};  ///< the reasons behind `because`
};

/// Needs the tables and the pieces of the patched object. The result is in the order of sections and offsets.
std::vector<Carried> close(const Pieces& patched, const Tables& tables, const ReferencePolicy& policy,
                           const std::vector<Root>& roots);

/// Code without a symbol that belongs to a table entry: what an alternative copies over its site at load, or where an
/// exception goes on (.fixup of kernels before 5.17).
struct Fragment {
  const Piece* piece = nullptr;  ///< null when the entry's field points nowhere (an empty replacement)
  uint64_t start = 0;            ///< in the piece
  uint64_t size = 0;
  uint64_t field = 0;                   ///< of the entry: points to the code
  std::optional<uint64_t> end_field{};  ///< of the entry: points to the code's end
  bool copied_at_load = false;

  bool is_field(uint64_t offset) const { return offset == field || offset == end_field; }
};

/// Nothing when no field of the entry points to such code. Error when the code has no end.
std::optional<Fragment> fragment_of(const Pieces& pieces, const TableEntry& entry);

/// The relocations of one entry.
std::vector<const elf::Relocation*> relocations_of(const TableEntry& entry);

/// The relocations inside a fragment.
std::vector<const elf::Relocation*> relocations_of(const Pieces& pieces, const Fragment& fragment);

}  // namespace klp::diff
