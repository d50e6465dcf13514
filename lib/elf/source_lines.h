// Which source file and line each instruction of a binary comes from, by DWARF's line tables. Code of an inlined
// function has the file and line of that function.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

/// A place that holds from `value` on up to the next row.
struct SourceRow {
  uint64_t value = 0;     ///< address in a linked image, offset in its section in a relocatable object
  std::string_view file;  ///< as the compiler was called, "fs/proc/array.c"; empty: nothing is known
  unsigned line = 0;
};

class SourceLines {
 public:
  /// `binary` is vmlinux, a module or an object with its debug information. A module or object must have been read with
  /// all relocations. Without any (readable) debug information nothing is known. Need not outlive it.
  explicit SourceLines(const ElfObject& binary);
  SourceLines();  ///< nothing is known
  ~SourceLines();
  SourceLines(SourceLines&&) noexcept;

  bool is_empty() const;

  /// The rows that cover [value, value + size) of the section of that name, ascending; the first may begin before it.
  /// Their names live as long as this. Not thread-safe.
  std::vector<SourceRow> rows(std::string_view section, uint64_t value, uint64_t size) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The row that covers `value`; a row without a file when none does.
SourceRow row_at(const std::vector<SourceRow>& rows, uint64_t value);

}  // namespace klp::elf
