#include "elf/symbol_index.h"

#include <algorithm>

#include "support/error.h"

namespace klp::elf {

SymbolIndex::SymbolIndex(const ElfObject& shipped) : object_(&shipped), module_(shipped.type() == 1) {
  FileBlock* block = nullptr;
  for (const Symbol& s : shipped.symbols()) {
    if (s.type == kSttFile) {
      block = &blocks_.emplace_back();
      block->file = s.name;
    } else if (!s.is_local()) {
      if (s.is_defined() || s.place == SymbolPlace::absolute) globals_.emplace(s.name, &s);
    } else if (block != nullptr && s.is_defined() && !s.is_section()) {
      block->locals[s.name].push_back(&s);
    }
  }
  for (const Section& s : shipped.sections()) {
    if (s.is_alloc() && s.size > 0) by_address_.push_back(&s);
  }
  std::stable_sort(by_address_.begin(), by_address_.end(),
                   [](const Section* a, const Section* b) { return a->address < b->address; });
}

std::vector<const FileBlock*> SymbolIndex::blocks_of(std::string_view file) const {
  std::vector<const FileBlock*> result;
  for (const FileBlock& block : blocks_) {
    if (block.file == file) result.push_back(&block);
  }
  return result;
}

const Symbol* SymbolIndex::maybe_global(std::string_view name) const {
  const auto found = globals_.find(name);
  return found == globals_.end() ? nullptr : found->second;
}

bool SymbolIndex::in_kallsyms(const Symbol& s, bool module) {
  if (s.is_section() || s.type == kSttFile || s.name.empty()) return false;
  if (module) return s.place != SymbolPlace::undefined;
  // mksysmap drops undefined, weak-undefined and local absolute symbols, and these names.
  if (s.place == SymbolPlace::undefined) return false;
  if (s.place == SymbolPlace::absolute && s.is_local()) return false;
  if (s.place == SymbolPlace::section && !s.section->is_alloc()) return false;
  for (const std::string_view prefix : {"$", ".L", "__crc_", "__kstrtab_", "__kstrtabns_"}) {
    if (s.name.starts_with(prefix)) return false;
  }
  return s.name != "L0";  // mksysmap: ' L0$', where the blank stands in front of the name
}

uint64_t SymbolIndex::sympos(const Symbol& symbol) const {
  check(in_kallsyms(symbol, module_), "{} is not in the kernel's symbol table", symbol.name);
  std::vector<const Symbol*> same;
  for (const Symbol* s : object_->symbols_named(symbol.name)) {
    if (in_kallsyms(*s, module_)) same.push_back(s);
  }
  if (same.size() <= 1) return 0;
  if (!module_) {
    std::stable_sort(same.begin(), same.end(), [](const Symbol* a, const Symbol* b) { return a->value < b->value; });
  }
  const auto found = std::find_if(same.begin(), same.end(), [&](const Symbol* s) {
    return s->value == symbol.value && s->section == symbol.section;
  });
  check(found != same.end(), "{} has no position", symbol.name);
  return static_cast<uint64_t>(found - same.begin()) + 1;
}

const Section* SymbolIndex::section_at(uint64_t address) const {
  // Sections may overlap in address: per-cpu data is linked at 0. The last that starts at or below wins, if it holds
  // it.
  auto after = std::upper_bound(by_address_.begin(), by_address_.end(), address,
                                [](uint64_t value, const Section* s) { return value < s->address; });
  while (after != by_address_.begin()) {
    --after;
    if (address - (*after)->address < (*after)->size) return *after;
    if (address - (*after)->address > (1ULL << 32)) break;
  }
  return nullptr;
}

}  // namespace klp::elf
