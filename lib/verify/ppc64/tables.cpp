#include "verify/ppc64/tables.h"

#include <algorithm>
#include <array>

#include "support/bytes.h"
#include "verify/ppc64/stubs.h"

namespace klp::verify::ppc64 {
namespace {

constexpr uint64_t kWord = 4;

enum class Kind { feature, distance, branch, ftrace };

struct SiteTable {
  std::string_view name;
  uint64_t entry_size;
  Kind kind;
};

// arch/powerpc/include/asm/{feature-fixups,jump_label}.h: MAKE_FTR_SECTION_ENTRY, MAKE_LWSYNC_SECTION_ENTRY,
// NOSPEC_BARRIER_FIXUP_SECTION; struct jump_entry; __mcount_loc of recordmcount.
constexpr std::array<SiteTable, 7> kTables = {{{"__ftr_fixup", 48, Kind::feature},
                                               {"__mmu_ftr_fixup", 48, Kind::feature},
                                               {"__fw_ftr_fixup", 48, Kind::feature},
                                               {"__spec_barrier_fixup", 8, Kind::distance},
                                               {"__lwsync_fixup", 8, Kind::distance},
                                               {"__mcount_loc", 8, Kind::ftrace},
                                               {"__jump_table", 16, Kind::branch}}};

struct Entry {
  const SiteTable& table;
  const StateSection& section;
  uint64_t offset;

  uint64_t address() const { return section.address + offset; }
  uint64_t pointer(uint64_t at) const { return read_le<uint64_t>(section.memory, offset + at); }
  std::string place() const { return fmt::format("{}+{:#x}", table.name, offset); }
};

struct Range {
  uint64_t start, size;
};

/// What the entry lets the kernel replace (patch_feature_section: start and end, then those of the other code).
Range site_of(LoadState& s, const Entry& entry) {
  switch (entry.table.kind) {
    case Kind::feature: {
      const uint64_t size = entry.pointer(24) - entry.pointer(16), other = entry.pointer(40) - entry.pointer(32);
      if (static_cast<int64_t>(other) > static_cast<int64_t>(size))
        s.fault(
            fmt::format("{}: the other code is longer than what it is to replace, so the kernel warns and leaves it",
                        entry.place()));
      return {entry.address() + entry.pointer(16), size};
    }
    case Kind::distance:
      return {entry.address() + entry.pointer(0), kWord};
    case Kind::branch:
      return {entry.address() + static_cast<uint64_t>(int64_t{read_le<int32_t>(entry.section.memory, entry.offset)}),
              kWord};
    case Kind::ftrace:
      break;
  }
  return {entry.pointer(0), kWord};
}

/// __ftrace_make_nop: a call through a stub to _mcount, behind one of the instructions that save the return address.
bool is_ftrace_site(const LoadState& s, const StateSection& code, uint64_t start, const StateSection& stubs) {
  constexpr uint32_t kDistance = 0x03fffffc, kCall = 0x48000001, kMflr = 0x7c0802a6, kStd = 0xf8010010;
  const auto word = read_le<uint32_t>(code.memory, start);
  if ((word & ~kDistance) != kCall || start < kWord) return false;
  const int64_t distance = int64_t{static_cast<int32_t>((word & kDistance) << 6)} >> 6;
  const uint64_t at = code.address + start + static_cast<uint64_t>(distance) - stubs.address;
  const auto tracer = s.kernel.vmlinux().symbols_named("_mcount");
  const bool leads_there = at + kStubSize <= stubs.memory.size() && !tracer.empty() &&
                           read_le<uint64_t>(stubs.memory, at + kStubTarget) == tracer.front()->value;
  const auto before = read_le<uint32_t>(code.memory, start - kWord);
  return leads_there && (before == kMflr || before == kStd || !s.kernel.config("MPROFILE_KERNEL"));
}

void process_entry(LoadState& s, const Entry& entry, const StateSection& stubs) {
  for (uint64_t i = 0; i < entry.table.entry_size; ++i) {
    if (entry.section.unknown[entry.offset + i] && entry.table.kind == Kind::ftrace) return;
  }
  const Range site = site_of(s, entry);
  if (site.size == 0) return;  // tells of a feature, and replaces nothing
  StateSection* code = s.maybe_at(site.start, site.size);
  if (code == nullptr || (code->header.flags & elf::kShfExec) == 0)
    throw Unpredictable(entry.place() + ": the entry's site is not in the module's code");
  const uint64_t start = site.start - code->address;
  if (entry.table.kind == Kind::ftrace && !is_ftrace_site(s, *code, start, stubs))
    throw Unpredictable(fmt::format("{}: at {}+{:#x} is not what the kernel replaces there", entry.place(),
                                    s.section_name(*code), start));
  std::fill_n(code->rewritten.begin() + static_cast<ptrdiff_t>(start), site.size, true);
}

}  // namespace

void process_tables(LoadState& s, StateSection& stubs) {
  for (const SiteTable& table : kTables) {
    const uint32_t index = s.find_section(table.name);
    if (index == 0) continue;
    const StateSection& section = s.sections[index];
    if (section.memory.size() % table.entry_size != 0)
      throw Unpredictable(fmt::format("{}: {} bytes, which are no whole entries", table.name, section.memory.size()));
    for (uint64_t at = 0; at < section.memory.size(); at += table.entry_size)
      process_entry(s, {table, section, at}, stubs);
  }
}

bool is_read_at_load(std::string_view section) {
  return std::any_of(kTables.begin(), kTables.end(), [&](const SiteTable& table) { return table.name == section; });
}

}  // namespace klp::verify::ppc64
