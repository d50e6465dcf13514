// What the kernel rewrites when the module is in its place, before anything of the livepatch is applied, and which
// relocations come too late for it. The tables are the machine's.
#include <algorithm>

#include "elf/klp_abi.h"
#include "support/bytes.h"
#include "verify/load_state.h"

namespace klp::verify {
namespace {

/// The kernel writes run-time constants' values over their placeholders, by way of the module's init.
void mark_constants(LoadState& s) {
  const uint32_t index = s.find_section(elf::kConstantsSection);
  if (index == 0) return;
  const std::vector<std::byte>& table = s.sections[index].memory;
  for (uint64_t at = 0; at + elf::kConstantsEntrySize <= table.size(); at += elf::kConstantsEntrySize) {
    const auto place = read_le<uint64_t>(table, at), size = read_le<uint64_t>(table, at + 16);
    StateSection* code = s.maybe_at(place, size);
    if (code == nullptr) throw Unpredictable(fmt::format("a run-time constant at {:#x}, outside the module", place));
    std::fill_n(code->rewritten.begin() + static_cast<ptrdiff_t>(place - code->address), size, true);
  }
}

void check_late_relocations(LoadState& s) {
  for (const StateSection& section : s.sections) {
    if ((section.header.flags & elf::kShfRelaLivepatch) == 0 || section.header.info >= s.sections.size()) continue;
    const auto object = elf::klp_rela_object(s.section_name(section));
    const StateSection& target = s.sections[section.header.info];
    if (!object || (*object == "vmlinux" && !s.rules().relocates_late_only) || !target.in_memory) continue;
    const auto table = s.content(section);
    for (uint64_t i = 0; i < section.header.size / kRelocationSize; ++i) {
      const RawRelocation relocation = raw_relocation(table, i);
      std::string_view trouble = s.machine->late_trouble(s, target, relocation);
      if (trouble.empty() && s.rules().protects_modules &&
          !s.arch->loader_accepts_late(relocation.type, target.header.flags) && s.machine->width(relocation.type) > 0)
        trouble = "is stored when the memory is write-protected";
      if (!trouble.empty())
        s.fault(fmt::format("{}+{:#x}: the relocation for {} {}", s.section_name(target), relocation.offset, *object,
                            trouble));
    }
  }
}

}  // namespace

int process_tables(LoadState& s) {
  if (const int error = s.machine->process_tables(s)) return error;
  mark_constants(s);
  check_late_relocations(s);
  return 0;
}

}  // namespace klp::verify
