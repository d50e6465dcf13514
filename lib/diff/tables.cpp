#include "diff/tables.h"

#include <algorithm>

#include "support/error.h"

namespace klp::diff {
namespace {

uint64_t entry_size(const arch::TableSpec& spec, const elf::Section& section, const TableSizes& sizes) {
  const auto given = sizes.sections.find(std::string(section.name));
  if (given != sizes.sections.end()) return given->second;
  if (spec.fixed_size != 0) return spec.fixed_size;
  const auto found = sizes.structs.find(std::string(spec.entry_struct));
  if (found != sizes.structs.end() && found->second != 0) return found->second;
  throw Error(fmt::format("{}: the size of its entries (struct {}) is not known", section.name, spec.entry_struct),
              fmt::format("give the kernel with -k, or --table-size {}=BYTES", section.name));
}

const elf::Relocation* relocation_at(const elf::Section& section, uint64_t offset) {
  const auto found = std::lower_bound(section.relocations.begin(), section.relocations.end(), offset,
                                      [](const elf::Relocation& r, uint64_t value) { return r.offset < value; });
  return found != section.relocations.end() && found->offset == offset ? &*found : nullptr;
}

}  // namespace

Tables::Tables(const Pieces& pieces, const TableSizes& sizes) : specs_(&pieces.arch().tables()) {
  for (const arch::TableSpec& spec : *specs_) {
    if (spec.drop) continue;
    for (const elf::Section& section : pieces.object().sections()) {
      if (section.name != spec.section || section.size == 0 || !section.is_alloc()) continue;
      cut(pieces, spec, section, entry_size(spec, section, sizes));
    }
  }
  for (auto& [section, entries] : ranges_) {
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  }
}

void Tables::cut(const Pieces& pieces, const arch::TableSpec& spec, const elf::Section& section, uint64_t size) {
  check(section.has_data(), "{}: a kernel table without content", section.name);
  const uint64_t least = std::max<uint64_t>({spec.owner_offset + 4U, spec.site_length.value_or(0) + 1U,
                                             spec.replacement ? spec.replacement->second + 1U : 0U});
  // The last entry of a padded table may lack its padding (.parainstructions).
  for (uint64_t at = 0; at < section.size; at += size) {
    const elf::Relocation* owner = relocation_at(section, at + spec.owner_offset);
    if (owner == nullptr) {
      throw Error(fmt::format("{}: entry at {:#x} has no owner (entries of {} bytes?)", section.name, at, size),
                  "the object was made for another kernel version, or --table-size is wrong");
    }
    check(section.size - at >= least, "{}: the entry at {:#x} is cut off", section.name, at);
    if (!owner->symbol->is_defined())
      fail("{}: entry at {:#x} belongs to the undefined symbol {}", section.name, at, owner->symbol->name);
    const Reference reference = pieces.resolve(*owner);
    TableEntry entry{&spec, &section, at, std::min(size, section.size - at), reference.offset};
    if (spec.ranges) {
      const elf::Section* code = owner->symbol->section;
      const uint64_t address = owner->symbol->value + static_cast<uint64_t>(pieces.arch().target_offset(*owner, 0));
      ranges_[code].emplace_back(address, entry);
    } else if (reference.kind == Reference::Kind::piece) {
      by_owner_[reference.piece].push_back(entry);
    }
  }
}

const std::vector<TableEntry>& Tables::of(const Piece* piece) const {
  static const std::vector<TableEntry> none;
  const auto found = by_owner_.find(piece);
  return found == by_owner_.end() ? none : found->second;
}

std::vector<TableEntry> Tables::ranges(const Piece* piece) const {
  std::vector<TableEntry> result;
  const auto found = ranges_.find(piece->section);
  if (found == ranges_.end()) return result;
  const TableEntry* in_force = nullptr;
  for (const auto& [address, entry] : found->second) {
    TableEntry copy = entry;
    copy.owner_offset = static_cast<int64_t>(address) - static_cast<int64_t>(piece->offset);
    if (address <= piece->offset) {
      in_force = &entry;
    } else if (address < piece->end()) {
      result.push_back(copy);
    }
  }
  if (in_force != nullptr) {
    TableEntry first = *in_force;
    first.owner_offset = 0;
    result.insert(result.begin(), first);
  }
  return result;
}

bool Tables::is_table(const elf::Section& section) const {
  return std::any_of(specs_->begin(), specs_->end(), [&](const arch::TableSpec& spec) {
    return section.name == spec.section || (!spec.parallel.empty() && section.name == spec.parallel);
  });
}

}  // namespace klp::diff
