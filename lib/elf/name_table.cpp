#include "elf/name_table.h"

#include <bit>
#include <functional>

namespace klp::elf {

NameTable::NameTable(const std::vector<Symbol>& symbols)
    : symbols_(symbols), first_(std::bit_ceil(symbols.size() + 1)), next_(symbols.size()) {
  // From the back, each in front of its chain: the chains are in symbol table order.
  for (size_t i = symbols.size(); i-- > 1;) {
    if (symbols[i].name.empty()) continue;
    uint32_t& head = first_[bucket_of(symbols[i].name)];
    next_[i] = head;
    head = static_cast<uint32_t>(i);
  }
}

size_t NameTable::bucket_of(std::string_view name) const {
  return std::hash<std::string_view>()(name) & (first_.size() - 1);
}

std::vector<const Symbol*> NameTable::find(std::string_view name) const {
  std::vector<const Symbol*> result;
  for (uint32_t i = first_[bucket_of(name)]; i != 0; i = next_[i]) {
    if (symbols_[i].name == name) result.push_back(&symbols_[i]);
  }
  return result;
}

}  // namespace klp::elf
