// The sections and symbols of a plan in the making.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "arch/arch.h"
#include "diff/livepatch_module.h"

namespace klp::diff {

/// Sections and symbols are known by their numbers, which are those of PatchObject.
class PlanSections {
 public:
  explicit PlanSections(const arch::Arch& arch) : arch_(arch) {}

  PlanSection& section(size_t index) { return object_.sections[index]; }

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
