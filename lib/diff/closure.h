// Closure: everything the module must carry, each piece with the reference that pulled it in.
#pragma once

#include <string>
#include <vector>

#include "diff/reference_graph.h"
#include "diff/references.h"
#include "diff/tables.h"

namespace klp::diff {

struct Carried {
  const Piece* piece = nullptr;
  const Piece* parent = nullptr;  ///< null for a root
  std::string because;            ///< e.g. "called by meminfo_proc_show"; a root's reason
};

struct Root {
  const Piece* piece = nullptr;  ///< leader
  std::string because;
};

/// Needs the tables and the pieces of the patched object. The result is in the order of sections and offsets.
std::vector<Carried> close(const Pieces& patched, const Tables& tables, const ReferencePolicy& policy,
                           const std::vector<Root>& roots);

/// Code that a table entry copies over its site at load: a range of a section of replacements. Size 0 when the entry
/// has none.
struct Replacement {
  const Piece* piece = nullptr;
  uint64_t start = 0;  ///< in the piece
  uint64_t size = 0;
};
Replacement replacement_of(const Pieces& pieces, const TableEntry& entry);

/// The relocations of one entry.
std::vector<const elf::Relocation*> relocations_of(const TableEntry& entry);

/// The relocations inside a replacement.
std::vector<const elf::Relocation*> relocations_of(const Pieces& pieces, const Replacement& replacement);

}  // namespace klp::diff
