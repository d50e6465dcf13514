// Symbols by name: buckets of chains through two arrays of indices, 8 bytes a symbol. vmlinux has 119,000 symbols of
// which a run asks for some hundred: a map of vectors costs more to make than all the rest of reading it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "elf/elf_types.h"

namespace klp::elf {

class NameTable {
 public:
  /// Takes all symbols that have a name. `symbols` must outlive the table and stay where it is.
  explicit NameTable(const std::vector<Symbol>& symbols);

  /// The symbols of exactly this name, in symbol table order.
  std::vector<const Symbol*> find(std::string_view name) const;

 private:
  size_t bucket_of(std::string_view name) const;

  const std::vector<Symbol>& symbols_;
  std::vector<uint32_t> first_;  ///< by bucket: index of its first symbol; 0 (the null symbol): none
  std::vector<uint32_t> next_;   ///< by symbol: index of the next one of its bucket
};

}  // namespace klp::elf
