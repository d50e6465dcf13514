#include "diff/tables.h"

#include <algorithm>

#include "support/error.h"
#include "support/log.h"

namespace klp::diff {
namespace {

const elf::Relocation* relocation_at(const elf::Section& section, uint64_t offset) {
  const auto found = std::lower_bound(section.relocations.begin(), section.relocations.end(), offset,
                                      [](const elf::Relocation& r, uint64_t value) { return r.offset < value; });
  return found != section.relocations.end() && found->offset == offset ? &*found : nullptr;
}

bool same_place(const Pieces& pieces, const Reference& a, const elf::Relocation* other) {
  if (other == nullptr || a.kind != Reference::Kind::piece) return false;
  const Reference b = pieces.resolve(*other);
  return b.kind == Reference::Kind::piece && b.piece == a.piece && b.offset == a.offset;
}

/// Whether every relocation of the table is at a field of an entry, and every entry has all its fields.
bool fits(const arch::TableSpec& spec, const arch::TableLayout& layout, const elf::Section& section) {
  if (section.size % layout.size != 0 && !spec.may_end_short) return false;
  size_t fields = 0;
  const elf::Relocation* before = nullptr;
  for (const elf::Relocation& r : section.relocations) {
    if (before != nullptr && before->offset == r.offset) return false;  // two relocations of one field
    before = &r;
    const auto is_at = [&](const std::vector<uint32_t>& places) {
      return std::find(places.begin(), places.end(), r.offset % layout.size) != places.end();
    };
    if (is_at(layout.fields)) {
      if (r.offset % layout.size == layout.fields.front() && !r.symbol->is_defined()) return false;
      ++fields;
    } else if (!is_at(layout.sometimes)) {
      return false;
    }
  }
  const uint64_t entries = (section.size + layout.size - 1) / layout.size;
  return fields == entries * layout.fields.size();
}

const arch::TableLayout& choose_layout(const arch::TableSpec& spec, const elf::Section& section,
                                       const TableSizes& sizes) {
  std::vector<const arch::TableLayout*> fitting;
  for (const arch::TableLayout& layout : spec.layouts) {
    if (fits(spec, layout, section)) fitting.push_back(&layout);
  }
  const auto of_size = [&](uint64_t size) -> const arch::TableLayout* {
    const auto found = std::find_if(fitting.begin(), fitting.end(), [&](const auto* l) { return l->size == size; });
    return found == fitting.end() ? nullptr : *found;
  };
  const auto kernels = sizes.structs.find(std::string(spec.entry_struct));
  if (kernels != sizes.structs.end() && kernels->second != 0) {
    const arch::TableLayout* layout = of_size(kernels->second);
    if (layout != nullptr) return *layout;
    throw Error(fmt::format("{}: its entries are not of {} bytes as the kernel's struct {}, or have no owner",
                            section.name, kernels->second, spec.entry_struct),
                "the object was made for another kernel version, or klp-diff does not know this layout");
  }
  const auto given = sizes.sections.find(std::string(section.name));
  if (given != sizes.sections.end()) {
    if (const arch::TableLayout* layout = of_size(given->second)) return *layout;
    log("tables").warn("--table-size {}={}: the object's relocations say otherwise", section.name, given->second);
  }
  if (fitting.size() == 1) return *fitting.front();
  throw Error(fmt::format("{}: the size of its entries (struct {}) {}", section.name, spec.entry_struct,
                          fitting.empty() ? "is none of those known" : "is not known"),
              fmt::format("give the kernel with -k, or --table-size {}=BYTES", section.name));
}

}  // namespace

Tables::Tables(const Pieces& pieces, const TableSizes& sizes) : specs_(&pieces.arch().tables()) {
  for (const arch::TableSpec& spec : *specs_) {
    if (spec.drop) continue;
    std::vector<const elf::Section*> found;
    for (const elf::Section& section : pieces.object().sections()) {
      const bool is_read = section.is_alloc() || spec.for_build_tools;
      if (spec.is(section.name) && section.size != 0 && is_read) found.push_back(&section);
    }
    // The sections of one name in their order; those of constants come in that of their first use.
    std::stable_sort(found.begin(), found.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
    for (const elf::Section* section : found) cut(pieces, spec, *section, choose_layout(spec, *section, sizes));
  }
  for (auto& [section, entries] : ranges_) {
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  }
}

void Tables::cut(const Pieces& pieces, const arch::TableSpec& spec, const elf::Section& section,
                 const arch::TableLayout& layout) {
  check(section.has_data(), "{}: a kernel table without content", section.name);
  // 7.x marks tables so to say how large an entry is (sh_entsize). The linker merges no section that has relocations.
  check((section.flags & elf::kShfMerge) == 0 || (section.entsize == layout.size && !section.relocations.empty()),
        "{}: a kernel table that the linker may merge", section.name);
  const uint64_t least = std::max<uint64_t>({layout.fields.back() + 4U, layout.site_length.value_or(0) + 1U,
                                             layout.replacement ? layout.replacement->second + 1U : 0U});
  for (uint64_t at = 0; at < section.size; at += layout.size) {
    const elf::Relocation* owner = relocation_at(section, at + layout.fields.front());
    check(section.size - at >= least, "{}: the entry at {:#x} is cut off", section.name, at);
    if (!owner->symbol->is_defined())
      fail("{}: entry at {:#x} belongs to the undefined symbol {}", section.name, at, owner->symbol->name);
    const Reference reference = pieces.resolve(*owner);
    if (layout.void_when_equal && same_place(pieces, reference, relocation_at(section, at + layout.fields[1])))
      continue;
    const uint64_t size = std::min<uint64_t>(layout.size, section.size - at);
    TableEntry entry{&spec, &layout, &section, at, size, reference.offset};
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

std::vector<TableEntry> Tables::ranges(const elf::Section& code, uint64_t begin, uint64_t end) const {
  std::vector<TableEntry> result;
  const auto found = ranges_.find(&code);
  if (found == ranges_.end()) return result;
  const auto& all = found->second;
  const auto after = std::upper_bound(all.begin(), all.end(), begin,
                                      [](uint64_t value, const auto& entry) { return value < entry.first; });
  const auto add = [&](const TableEntry& entry, uint64_t address) {
    result.push_back(entry);
    result.back().owner_offset = static_cast<int64_t>(address - begin);
  };
  if (after != all.begin()) add((after - 1)->second, begin);
  for (auto at = after; at != all.end() && at->first < end; ++at) add(at->second, at->first);
  return result;
}

bool Tables::is_table(const elf::Section& section) const {
  return std::any_of(specs_->begin(), specs_->end(), [&](const arch::TableSpec& spec) {
    return spec.is(section.name) || (!spec.parallel.empty() && section.name == spec.parallel);
  });
}

}  // namespace klp::diff
