#include "diff/branch_sites.h"

#include <algorithm>

namespace klp::diff {

BranchSites::BranchSites(const elf::ElfObject& object, const arch::Arch& arch) : arch_(arch) {
  for (const arch::TableSpec& spec : arch.tables()) {
    if (!spec.switches_branch) continue;
    for (const elf::Section& section : object.sections()) {
      if (!spec.is(section.name)) continue;
      for (const arch::TableLayout& layout : spec.layouts) read(layout, section);
    }
  }
}

/// Entries whose relocations stand as the layout has them; of the layouts one fits.
void BranchSites::read(const arch::TableLayout& layout, const elf::Section& table) {
  const auto& all = table.relocations;
  const size_t count = layout.fields.size();
  for (size_t i = 0; i + count <= all.size(); i += count) {
    const auto is_field = [&](size_t k) {
      return all[i + k].offset % layout.size == layout.fields[k] &&
             all[i + k].offset / layout.size == all[i].offset / layout.size;
    };
    for (size_t k = 0; k < count; ++k) {
      if (!is_field(k)) return;
    }
    const elf::Relocation& site = all[i];
    if (!site.symbol->is_defined() || !site.symbol->section->is_exec()) continue;
    const auto offset = static_cast<int64_t>(site.symbol->value) + arch_.target_offset(site, 0);
    keys_[site.symbol->section][static_cast<uint64_t>(offset)] = all[i + count - 1].addend;
  }
}

void BranchSites::turn_off(const elf::Section& section, uint64_t offset, std::span<const std::byte> bytes,
                           std::vector<elf::Instruction>& code) const {
  const auto sites = keys_.find(&section);
  if (sites == keys_.end()) return;
  uint32_t gone = 0;
  for (elf::Instruction& i : code) {
    i.number -= gone;
    const auto key = sites->second.find(offset + i.offset);
    if (key == sites->second.end() || i.nop) continue;
    if (arch_.branch_placeholder(bytes.subspan(i.offset), key->second).size() != i.size) continue;
    i.flow = elf::Flow::none;
    i.nop = true;
    ++gone;
  }
}

}  // namespace klp::diff
