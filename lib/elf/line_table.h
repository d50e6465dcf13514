// DWARF's line table of a relocatable object: from an address to a source line.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

class LineTable {
 public:
  struct Row {
    uint64_t offset = 0;  ///< in the section
    unsigned line = 0;    ///< 0: nothing is known from here on
  };

  bool empty() const { return rows_.empty(); }

  /// The line of the row that covers an offset of a section; nothing when none does.
  std::optional<unsigned> line_at(const Section& section, uint64_t offset) const;

 private:
  friend LineTable read_line_table(const ElfObject& object);
  std::unordered_map<uint64_t, std::vector<Row>> rows_;  ///< by section index, by offset
};

/// Reads all rows with libdw. Empty without (or with compressed) debug information.
LineTable read_line_table(const ElfObject& object);

}  // namespace klp::elf
