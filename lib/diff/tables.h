// The kernel's special tables of an object, cut into entries, each tied to the function that owns it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "diff/pieces.h"
#include "support/finding.h"

namespace klp::diff {

/// Sizes in bytes of the kernel structs that table entries are, by struct name, and of sections, by section name
/// (--table-size). From the target's BTF or DWARF.
struct TableSizes {
  std::map<std::string, uint64_t> structs;
  std::map<std::string, uint64_t> sections;
};

struct TableEntry {
  const arch::TableSpec* spec = nullptr;
  const arch::TableLayout* layout = nullptr;
  const elf::Section* section = nullptr;
  uint64_t offset = 0;
  uint64_t size = 0;
  int64_t owner_offset = 0;  ///< where in the owner's piece the entry points to
};

class Tables {
 public:
  /// Cuts every known table that `pieces`' object has. The entry size is the one of `sizes` when the table's
  /// relocations agree with it; without one, the only layout that agrees with them. Error when none does, when several
  /// do, or when the kernel's own size does not: such an object was made for another kernel. A size that only the user
  /// gave gives way to the object, with a warning.
  Tables(const Pieces& pieces, const TableSizes& sizes);

  /// Entries that belong to a piece, in the order of tables and of entries. For tables of ranges (ORC) see ranges().
  const std::vector<TableEntry>& of(const Piece* piece) const;

  /// Entries of range tables in force in [begin, end) of a code section: the one at or before its start, then all
  /// inside, by address; their owner_offset counts from `begin`.
  std::vector<TableEntry> ranges(const elf::Section& code, uint64_t begin, uint64_t end) const;

  /// Whether a section is one of the architecture's tables, or the second section of one.
  bool is_table(const elf::Section& section) const;

 private:
  void cut(const Pieces& pieces, const arch::TableSpec& spec, const elf::Section& section,
           const arch::TableLayout& layout);

  const std::vector<arch::TableSpec>* specs_;
  std::unordered_map<const Piece*, std::vector<TableEntry>> by_owner_;
  std::unordered_map<const elf::Section*, std::vector<std::pair<uint64_t, TableEntry>>>
      ranges_;  // by address in the section
};

}  // namespace klp::diff
