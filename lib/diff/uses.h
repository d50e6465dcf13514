// Uses: who refers to a piece, or to a symbol of another unit. The references of the closure, read backwards.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "diff/pieces.h"
#include "diff/tables.h"

namespace klp::diff {

/// One reference. What sits in a table entry, or in code that the entry copies over its site, is its owner's.
struct Use {
  const Piece* from = nullptr;  ///< the piece with the field: a function or its .cold part, data, code without a symbol
  Reference reference;
  uint64_t at = 0;        ///< offset of the field in `from`; 0 in an entry and in code that is copied
  bool in_entry = false;  ///< a field of a table entry of `from`
};

class Uses {
 public:
  /// Reads all references of the object once. All three must outlive the uses.
  Uses(const Pieces& pieces, const Tables& tables);

  /// The uses of a piece, not of its .cold parts, without those by itself; in the order of sections and offsets.
  const std::vector<Use>& of(const Piece& piece) const;

  /// The uses of an undefined symbol.
  const std::vector<Use>& of_external(std::string_view name) const;

  /// "f+0x1c", for messages; a piece without a name is its section.
  static std::string place(const Use& use);

 private:
  void add_code(const Pieces& pieces, const Tables& tables, const Piece& piece);
  void add(const Piece& from, const Reference& reference, uint64_t at, bool in_entry);

  std::unordered_map<const Piece*, std::vector<Use>> by_piece_;
  std::map<std::string_view, std::vector<Use>> by_name_;
  std::unordered_set<const elf::Relocation*> copied_;  ///< fields of code that a table entry copies or goes on in
};

}  // namespace klp::diff
