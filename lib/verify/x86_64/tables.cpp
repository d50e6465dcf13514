// The tables that the kernel walks when the module is in its place, before anything of the livepatch is applied
// (arch/x86/kernel/module.c: module_finalize; ftrace_module_init; the notifiers of jump labels and static calls). What
// they replace is marked; a relocation that is to be written there later comes too late.
#include "verify/x86_64/tables.h"

#include <algorithm>
#include <array>

#include "support/bytes.h"

namespace klp::verify::x86_64 {
namespace {

enum class Length { one, two_or_five, call, jump_or_call, endbr, alternative, paravirt, nothing };

struct SiteTable {
  std::string_view name;
  uint64_t entry_size;  ///< 0: struct alt_instr
  bool absolute;        ///< the site's address, 8 bytes; else 4 bytes from the field itself
  Length length;
};

// Entry layouts: arch/x86/include/asm/{alternative,paravirt_types,jump_label,smp}.h, include/linux/static_call_types.h,
// 5.10-6.12.
constexpr std::array<SiteTable, 10> kTables = {{{".altinstructions", 0, false, Length::alternative},
                                                {".parainstructions", 16, true, Length::paravirt},
                                                {"__jump_table", 16, false, Length::two_or_five},
                                                {".static_call_sites", 8, false, Length::jump_or_call},
                                                {".retpoline_sites", 4, false, Length::jump_or_call},
                                                {".return_sites", 4, false, Length::call},
                                                {".smp_locks", 4, false, Length::one},
                                                {".ibt_endbr_seal", 4, false, Length::endbr},
                                                {"__mcount_loc", 8, true, Length::call},
                                                {".call_sites", 4, false, Length::nothing}}};

struct Entry {
  StateSection& table;
  uint64_t offset;
};

/// Bytes that are replaced at a site, of which `code` is the start.
uint64_t site_length(const SiteTable& table, const Entry& entry, std::span<const std::byte> code, uint64_t alt_size) {
  const auto first = code.empty() ? std::byte{0} : code.front();
  switch (table.length) {
    case Length::one:
      return 1;
    case Length::two_or_five:  // a short jump, its NOP, or the long ones
      return first == std::byte{0xeb} || first == std::byte{0x66} ? 2 : 5;
    case Length::call:
      return 5;
    case Length::jump_or_call:  // with a prefix, or conditional
      return first == std::byte{0x2e} || first == std::byte{0x0f} ? 6 : 5;
    case Length::endbr:
      return 4;
    case Length::alternative:
      return static_cast<uint64_t>(entry.table.memory[entry.offset + (alt_size == 12 ? 10 : alt_size - 2)]);
    case Length::paravirt:
      return static_cast<uint64_t>(entry.table.memory[entry.offset + 9]);
    case Length::nothing:
      break;
  }
  return 0;
}

/// Where the branch at the start of a site leads; nothing when its field is only known to the kernel.
std::optional<uint64_t> branch_target(const StateSection& code, uint64_t start, uint64_t length) {
  const uint64_t field = start + length - 4;
  if (code.unknown[field]) return std::nullopt;
  return code.address + start + length + static_cast<uint64_t>(int64_t{read_le<int32_t>(code.memory, field)});
}

bool in_module(const LoadState& s, uint64_t address) {
  return std::any_of(s.sections.begin(), s.sections.end(), [&](const StateSection& section) {
    return section.in_memory && address >= section.address && address - section.address < section.memory.size();
  });
}

/// Whether the site is a direct branch to a symbol of vmlinux whose name begins with `prefix`, or with `own` to the
/// module itself. A kernel without such a symbol does not look.
bool leads_to(const LoadState& s, const StateSection& code, uint64_t start, uint64_t length, std::string_view prefix,
              bool own = false) {
  const std::set<uint64_t>& known = s.kernel.addresses_of(prefix);
  const std::byte first = code.memory[start];
  const bool branch = length == 6 || first == std::byte{0xe8} || first == std::byte{0xe9};
  if (!branch) return false;
  const auto target = branch_target(code, start, length);
  return known.empty() || !target || known.contains(*target) || (own && in_module(s, *target));
}

bool is_jump_site(std::span<const std::byte> site) {
  constexpr std::array<unsigned char, 5> kNop = {0x0f, 0x1f, 0x44, 0x00, 0x00};
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(site[i]); };
  if (site.size() == 2) return byte(0) == 0xeb || (byte(0) == 0x66 && byte(1) == 0x90);
  return byte(0) == 0xe9 || std::equal(kNop.begin(), kNop.end(), site.begin(),
                                       [](unsigned char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

/// The kernel looks at the instruction before it replaces it, and warns, stops tracing for good or stops altogether
/// when it is another one (arch/x86/kernel/{ftrace,alternative,jump_label,static_call}.c).
bool is_expected(const LoadState& s, const SiteTable& table, const StateSection& code, uint64_t start,
                 uint64_t length) {
  if (table.name == "__mcount_loc") return leads_to(s, code, start, length, "__fentry__");
  if (table.name == ".return_sites") return leads_to(s, code, start, length, "__x86_return_thunk");
  if (table.name == ".retpoline_sites") return leads_to(s, code, start, length, "__x86_indirect_");
  if (table.name == ".static_call_sites") return leads_to(s, code, start, length, "__SCT__", true);
  if (table.name == "__jump_table") return is_jump_site(std::span(code.memory).subspan(start, length));
  return true;
}

void process_entry(LoadState& s, const SiteTable& table, const Entry& entry, uint64_t alt_size) {
  const std::vector<std::byte>& memory = entry.table.memory;
  if (entry.table.unknown[entry.offset]) return;
  const uint64_t field = entry.table.address + entry.offset;
  const uint64_t site = table.absolute ? read_le<uint64_t>(memory, entry.offset)
                                       : field + static_cast<uint64_t>(int64_t{read_le<int32_t>(memory, entry.offset)});
  StateSection* code = s.maybe_at(site);
  if (code == nullptr || (code->header.flags & elf::kShfExec) == 0)
    throw Unpredictable(
        fmt::format("{}+{:#x}: the entry's site is not in the module's code", table.name, entry.offset));
  const uint64_t start = site - code->address;
  const uint64_t length = site_length(table, entry, std::span(code->memory).subspan(start), alt_size);
  if (length > code->memory.size() - start)
    throw Unpredictable(
        fmt::format("{}+{:#x}: the entry's site reaches beyond {}", table.name, entry.offset, s.section_name(*code)));
  if (!is_expected(s, table, *code, start, length))
    throw Unpredictable(fmt::format("{}+{:#x}: at {}+{:#x} is not what the kernel replaces there", table.name,
                                    entry.offset, s.section_name(*code), start));
  std::fill_n(code->rewritten.begin() + static_cast<ptrdiff_t>(start), length, true);
}

void process_table(LoadState& s, const SiteTable& table) {
  const uint32_t index = s.find_section(table.name);
  if (index == 0) return;
  StateSection& section = s.sections[index];
  const uint64_t alt_size = s.rules().alt_instr_size;
  const uint64_t size = table.entry_size == 0 ? alt_size : table.entry_size;
  if (size == 0) return;
  // .parainstructions' last entry may lack its padding.
  for (uint64_t at = 0; at + std::min<uint64_t>(size, 10) <= section.memory.size(); at += size) {
    if (at + size > section.memory.size() && table.length != Length::paravirt)
      throw Unpredictable(fmt::format("{}: {} bytes, which are no whole entries", table.name, section.memory.size()));
    process_entry(s, table, {section, at}, alt_size);
  }
}

/// unwind_module_init takes both or none.
void check_unwind_tables(LoadState& s) {
  constexpr uint64_t kIpSize = 4, kEntrySize = 6;
  const uint32_t ips = s.find_section(".orc_unwind_ip"), entries = s.find_section(".orc_unwind");
  if (ips == 0 || entries == 0) return;
  const uint64_t count = s.sections[ips].memory.size() / kIpSize;
  if (s.sections[entries].memory.size() != count * kEntrySize)
    s.fault(".orc_unwind: not as many entries as .orc_unwind_ip, so nothing can be unwound in the module");
}

}  // namespace

void process_tables(LoadState& s) {
  for (const SiteTable& table : kTables) process_table(s, table);
  check_unwind_tables(s);
}

bool is_read_at_load(std::string_view section) {
  return std::any_of(kTables.begin(), kTables.end(), [&](const SiteTable& table) { return table.name == section; });
}

}  // namespace klp::verify::x86_64
