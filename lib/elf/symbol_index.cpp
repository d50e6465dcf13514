#include "elf/symbol_index.h"

#include <algorithm>
#include <mutex>

#include "support/error.h"

namespace klp::elf {

struct SymbolIndex::LazyBlock {
  std::string_view file;
  size_t first = 0, end = 0;  // symbol numbers
  std::once_flag made;
  FileBlock block;
};

SymbolIndex::SymbolIndex(const ElfObject& shipped)
    : object_(&shipped), module_(shipped.type() == 1), blocks_(std::make_shared<std::deque<LazyBlock>>()) {
  const std::vector<Symbol>& symbols = shipped.symbols();
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i].type != kSttFile) continue;
    if (!blocks_->empty()) blocks_->back().end = i;
    LazyBlock& block = blocks_->emplace_back();
    block.file = symbols[i].name;
    block.first = i + 1;
    block.end = symbols.size();
  }
  for (const Section& s : shipped.sections()) {
    if (s.is_alloc() && s.size > 0) by_address_.push_back(&s);
  }
  std::stable_sort(by_address_.begin(), by_address_.end(),
                   [](const Section* a, const Section* b) { return a->address < b->address; });
}

std::vector<const FileBlock*> SymbolIndex::blocks_of(std::string_view file) const {
  std::vector<const FileBlock*> result;
  for (LazyBlock& lazy : *blocks_) {
    if (lazy.file != file) continue;
    std::call_once(lazy.made, [&] {
      lazy.block.file = lazy.file;
      for (size_t i = lazy.first; i < lazy.end; ++i) {
        const Symbol& s = object_->symbols()[i];
        if (s.is_local() && s.is_defined() && !s.is_section()) lazy.block.locals[s.name].push_back(&s);
      }
    });
    result.push_back(&lazy.block);
  }
  return result;
}

const Symbol* SymbolIndex::maybe_global(std::string_view name) const {
  for (const Symbol* s : object_->all_named(name)) {
    const bool exists = s->is_defined() || s->place == SymbolPlace::absolute || s->place == SymbolPlace::common;
    if (exists && !s->is_local()) return s;
  }
  return nullptr;
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
