// The sections and symbols of a plan in the making.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "arch/arch.h"
#include "diff/livepatch_module.h"
#include "diff/tables.h"

namespace klp::diff {

/// Sections and symbols are known by their numbers, which are those of PatchObject.
class PlanSections {
 public:
  explicit PlanSections(const arch::Arch& arch) : arch_(arch) {}

  PlanSection& section(size_t index) { return object_.sections[index]; }
  PlanSymbol& symbol(size_t index) { return object_.symbols[index]; }
  const arch::Arch& arch() const { return arch_; }

  /// A section of the type, flags and alignment of `like`, with `data`, or of `nobits` bytes without content.
  size_t add_section(const elf::Section& like, std::string name, std::span<const std::byte> data, uint64_t nobits = 0);

  /// The one section of that name (by default that of `like`) that is filled piece by piece; made at the first use.
  size_t table_section(const elf::Section& like, std::string_view name = {});

  size_t add_symbol(PlanSymbol symbol);
  size_t section_symbol(size_t index);

  /// The symbol of the section of strings, which is made at the first use.
  size_t string_symbol();

  /// Returns where the bytes begin.
  uint64_t append(size_t index, std::span<const std::byte> bytes);

  /// Has the jump whose distance is at `offset` of the section `index` lead to `target` of the section `to`.
  void add_jump(size_t index, uint64_t offset, size_t to, uint64_t target);

  /// One record of a table of ranges, saying what holds from `symbol` + `offset` on; `object` is where it comes from.
  /// Without `state` it marks the end: all zeros mean "unknown", which is what objtool writes behind the last
  /// instruction of a section.
  void add_range(const elf::ElfObject& object, const TableEntry& entry, size_t symbol, uint64_t offset, bool state);

  /// Zeroes the field that `r` fills in at `offset` of a section. Error when it reaches over the end.
  void clear_field(size_t index, uint64_t offset, const elf::Relocation& r);

 protected:
  const arch::Arch& arch_;
  PatchObject object_;

 private:
  std::map<std::string, size_t> table_sections_;
  std::map<size_t, size_t> section_symbols_;
  size_t string_symbol_ = SIZE_MAX;
};

}  // namespace klp::diff
