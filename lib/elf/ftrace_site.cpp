#include "elf/ftrace_site.h"

#include <elf.h>

#include <algorithm>

#include "elf/symbol_index.h"
#include "support/bytes.h"

namespace klp::elf {
namespace {

/// Sites at or behind a function's start: how many before its own end, and before that which kallsyms gives it.
struct Found {
  bool table = false, at_start = false;
  size_t own = 0, all = 0;
};

/// Where the next symbol starts that the kernel knows.
uint64_t kallsyms_end(const Symbol& function, bool module) {
  const Section& section = *function.section;
  const auto behind = std::upper_bound(section.symbols.begin(), section.symbols.end(), function.value,
                                       [](uint64_t value, const Symbol* s) { return value < s->value; });
  for (auto next = behind; next != section.symbols.end(); ++next) {
    if (SymbolIndex::in_kallsyms(**next, module)) return (*next)->value;
  }
  return section.address + section.size;
}

const Symbol* maybe_label(const ElfObject& object, std::string_view name) {
  const auto all = object.symbols_named(name);
  return all.empty() || !all.front()->is_defined() ? nullptr : all.front();
}

class Counter {
 public:
  Counter(const Symbol& function, bool module) : function_(function), end_(kallsyms_end(function, module)) {}

  void add(uint64_t site) {
    if (site < function_.value || site >= end_) return;
    found.at_start = found.at_start || site == function_.value;
    found.own += site < function_.value + std::max<uint64_t>(function_.size, 1) ? 1 : 0;
    ++found.all;
  }

  Found found;

 private:
  const Symbol& function_;
  uint64_t end_;
};

Found in_image(const Symbol& function, const Symbol& start, const Symbol& stop) {
  Counter counter(function, false);
  counter.found.table = true;
  const Section& section = *start.section;
  const auto table = section.data.subspan(std::min<uint64_t>(start.value - section.address, section.data.size()));
  for (uint64_t at = 0; at + 8 <= std::min<uint64_t>(table.size(), stop.value - start.value); at += 8)
    counter.add(read_le<uint64_t>(table, at));
  return counter.found;
}

Found in_module(const ElfObject& module, const Symbol& function) {
  Counter counter(function, true);
  for (const Section& section : module.sections()) {
    // On x86 the latter are the NOPs in front of functions, not their sites.
    if (section.name != "__mcount_loc" &&
        (section.name != "__patchable_function_entries" || module.machine() == EM_X86_64))
      continue;
    counter.found.table = true;
    for (const Relocation& r : section.relocations) {
      if (r.symbol->section == function.section && r.symbol->is_defined())
        counter.add(r.symbol->value + static_cast<uint64_t>(r.addend));
    }
  }
  return counter.found;
}

}  // namespace

FtraceSite ftrace_site(const ElfObject& shipped, const Symbol& function) {
  const Symbol* start = maybe_label(shipped, "__start_mcount_loc");
  const Symbol* stop = maybe_label(shipped, "__stop_mcount_loc");
  const Found found =
      start != nullptr && stop != nullptr ? in_image(function, *start, *stop) : in_module(shipped, function);
  if (!found.table) return FtraceSite::unknown;
  if (found.own == 0) return FtraceSite::none;
  // What the table names is the place itself on x86 only (arch/*/include/asm/ftrace.h: ftrace_call_adjust).
  const bool exact = found.at_start && shipped.machine() == EM_X86_64;
  return exact || found.all == 1 ? FtraceSite::own : FtraceSite::ambiguous;
}

}  // namespace klp::elf
