#include "diff/indirect_entries.h"

#include <algorithm>

#include "support/bytes.h"

namespace klp::diff {

bool checks_indirect_calls(const elf::ElfObject& vmlinux, const arch::Arch& arch) {
  const std::string_view seals = arch.indirect_entry().sealed_by;
  return !seals.empty() && vmlinux.maybe_section(seals) != nullptr;
}

IndirectEntries::IndirectEntries(const elf::ElfObject& binary, const arch::Arch& arch)
    : entry_(arch.indirect_entry()), linked_(binary.type() != 1) {
  const elf::Section* seals = binary.maybe_section(entry_.sealed_by);
  if (seals == nullptr) return;
  if (linked_) add_linked(*seals);
  for (const elf::Relocation& r : seals->relocations)
    sealed_.insert({r.symbol->section, r.symbol->value + static_cast<uint64_t>(r.addend)});
}

void IndirectEntries::add_linked(const elf::Section& seals) {
  for (uint64_t at = 0; at + sizeof(int32_t) <= seals.data.size(); at += sizeof(int32_t)) {
    const int64_t distance = read_le<int32_t>(seals.data, at);
    sealed_.insert({nullptr, seals.address + at + static_cast<uint64_t>(distance)});
  }
}

bool IndirectEntries::allows(const elf::Symbol& function) const {
  const elf::Section& code = *function.section;
  const uint64_t at = function.value - code.address;
  if (at > code.data.size() || code.data.size() - at < entry_.mark.size()) return false;
  if (!std::equal(entry_.mark.begin(), entry_.mark.end(), code.data.begin() + static_cast<int64_t>(at))) return false;
  return !sealed_.contains({linked_ ? nullptr : &code, function.value});
}

}  // namespace klp::diff
