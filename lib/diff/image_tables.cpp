#include "diff/image_tables.h"

#include <algorithm>

#include <fmt/format.h>

#include "support/bytes.h"

namespace klp::diff {
namespace {

constexpr uint16_t kRelocatable = 1;                       // ET_REL
constexpr uint64_t kTried = 64;                            // entries that a layout is tried on
constexpr std::string_view kFtraceSites = "__mcount_loc";  // says whether a function can be traced
constexpr uint32_t kWord = 8, kHalf = 4;

/// "__jump_table" of "__jump_table", "static_call_sites" of ".static_call_sites", "mcount_loc" of "__mcount_loc".
std::vector<std::string> names_in_marks(std::string_view section) {
  if (section.starts_with('.')) section.remove_prefix(1);
  std::vector<std::string> result = {std::string(section)};
  if (section.starts_with("__")) result.emplace_back(section.substr(2));
  return result;
}

/// Whether a symbol with a size is there.
bool is_named(const elf::Section& section, uint64_t value) {
  const auto& symbols = section.symbols;
  auto at = std::upper_bound(symbols.begin(), symbols.end(), value,
                             [](uint64_t v, const elf::Symbol* s) { return v < s->value; });
  while (at != symbols.begin() && (*std::prev(at))->size == 0) --at;
  return at != symbols.begin() && value - (*std::prev(at))->value < (*std::prev(at))->size;
}

bool contains(const std::vector<uint32_t>& places, uint64_t at) {
  return std::find(places.begin(), places.end(), at) != places.end();
}

std::vector<uint32_t> all_fields(const arch::TableLayout& layout) {
  std::vector<uint32_t> result = layout.fields;
  result.insert(result.end(), layout.sometimes.begin(), layout.sometimes.end());
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

ImageTables::ImageTables(const elf::SymbolIndex& index, const Covering& covering)
    : index_(index), arch_(arch::arch_for(index.object().machine())), linked_(index.object().type() != kRelocatable) {
  for (const arch::TableSpec& spec : arch_.tables()) {
    if (!spec.compared && spec.section != kFtraceSites) continue;
    for (const Extent& extent : find(spec)) {
      if (const arch::TableLayout* layout = layout_of(spec, extent))
        cut(spec, extent, *layout, covering);
      else
        unread_.push_back(spec.section);
    }
  }
}

std::vector<ImageTables::Extent> ImageTables::find(const arch::TableSpec& spec) const {
  std::vector<Extent> result;
  for (const elf::Section& s : index_.object().sections()) {
    const bool is_table = spec.is(s.name) || (!spec.loader_name.empty() && s.name == spec.loader_name);
    if (is_table && s.is_alloc() && s.has_data() && s.size != 0) result.push_back({&s, 0, s.data.size()});
  }
  if (!result.empty() || !linked_) return result;
  for (const std::string& name : names_in_marks(spec.section)) {
    const elf::Symbol* begin = index_.maybe_global("__start_" + name);
    const elf::Symbol* end = index_.maybe_global("__stop_" + name);
    if (begin == nullptr || end == nullptr || begin->section == nullptr || begin->section != end->section) continue;
    const elf::Section& section = *begin->section;
    if (begin->value >= end->value || end->value - section.address > section.data.size()) continue;
    return {{&section, begin->value - section.address, end->value - section.address}};
  }
  return result;
}

/// Relocations stand at the fields of the right layout; in a linked image all its fields are addresses, the first ones
/// of code.
const arch::TableLayout* ImageTables::layout_of(const arch::TableSpec& spec, const Extent& extent) const {
  const auto has_owner = [&](const arch::TableLayout& layout, uint64_t at) {
    return std::all_of(layout.fields.begin(), layout.fields.end(), [&](uint32_t field_at) {
      const uint32_t room = field_at == layout.fields.back() ? layout.size - field_at : kWord;
      const ImageField f = field(*extent.section, at, field_at, room);
      return f.section != nullptr && (field_at != layout.fields.front() || f.section->is_exec());
    });
  };
  for (const arch::TableLayout& layout : spec.layouts) {
    const uint64_t size = extent.end - extent.begin;
    if (layout.fields.empty() || (size % layout.size != 0 && !spec.may_end_short)) continue;
    bool fits = true;
    if (linked_) {
      const uint64_t tried = std::min(size / layout.size, kTried);
      for (uint64_t n = 0; fits && n < tried; ++n) fits = has_owner(layout, extent.begin + n * layout.size);
    } else {
      for (const elf::Relocation& r : extent.section->relocations) {
        const uint64_t at = r.offset % layout.size;
        fits = fits && (contains(layout.fields, at) || contains(layout.sometimes, at));
      }
    }
    if (fits) return &layout;
  }
  return nullptr;
}

void ImageTables::cut(const arch::TableSpec& spec, const Extent& extent, const arch::TableLayout& layout,
                      const Covering& covering) {
  for (uint64_t at = extent.begin; at < extent.end; at += layout.size) {
    ImageEntry entry{&spec, &layout, extent.section, at, std::min<uint64_t>(layout.size, extent.end - at), 0};
    const std::vector<ImageField> all = fields(entry);
    if (all.empty() || all.front().at != layout.fields.front() || all.front().section == nullptr) continue;
    const ImageField& owner = all.front();
    const bool is_void =
        layout.void_when_equal && all.size() > 1 && all[1].section == owner.section && all[1].value == owner.value;
    const elf::Symbol* function = is_void ? nullptr : covering(*owner.section, owner.value);
    if (function == nullptr || owner.value - function->value >= std::max<uint64_t>(function->size, 1)) continue;
    entry.owner_offset = owner.value - function->value;
    by_owner_[function].push_back(entry);
    has_sites_ = has_sites_ || spec.section == kFtraceSites;
  }
}

const std::vector<ImageEntry>& ImageTables::of(const elf::Symbol& function) const {
  static const std::vector<ImageEntry> none;
  const auto found = by_owner_.find(&function);
  return found == by_owner_.end() ? none : found->second;
}

std::optional<bool> ImageTables::traceable(const elf::Symbol& function) const {
  if (!has_sites_) return std::nullopt;
  const std::vector<ImageEntry>& entries = of(function);
  return std::any_of(entries.begin(), entries.end(),
                     [](const ImageEntry& e) { return e.spec->section == kFtraceSites; });
}

/// A small number in a table is no reference: as a distance it would lead into the table itself, which has no symbol.
ImageField ImageTables::field(const elf::Section& section, uint64_t entry, uint32_t at, uint32_t room) const {
  ImageField result;
  result.at = at;
  const uint64_t place = entry + at;
  if (!linked_) {
    const auto& all = section.relocations;
    const auto r = std::lower_bound(all.begin(), all.end(), place,
                                    [](const elf::Relocation& x, uint64_t v) { return x.offset < v; });
    if (r == all.end() || r->offset != place) return result;
    result.width = arch_.field_kind(*r).width;
    const int64_t offset = arch_.target_offset(*r, arch_.bias(*r, 0));
    result.section = r->symbol->is_defined() ? r->symbol->section : nullptr;
    result.value = r->symbol->value + static_cast<uint64_t>(offset);
    if (result.section == nullptr) result.external = r->symbol;
    result.external_offset = offset;
    return result;
  }
  const auto refers = [&](uint64_t value, uint32_t width) {
    const elf::Section* target = index_.section_at(value);
    if (target == nullptr || (target == &section && !is_named(section, value))) return false;
    result.section = target;
    result.value = value;
    result.width = width;
    return true;
  };
  const uint64_t address = section.address + place, left = section.data.size() - std::min(place, section.data.size());
  if (room >= kWord && left >= kWord) {
    const auto word = read_le<uint64_t>(section.data, place);
    if (word >> 32 != 0 && refers(word, kWord)) return result;
    const bool is_distance = static_cast<int64_t>(word) == static_cast<int32_t>(word);
    if (is_distance && address % kWord == 0 && refers(address + word, kWord)) return result;
  }
  if (left >= kHalf) {
    const auto half = static_cast<int32_t>(read_le<uint32_t>(section.data, place));
    refers(address + static_cast<uint64_t>(int64_t{half}), kHalf);
  }
  return result;
}

/// In a linked image a field that only some kernels have may be a number that looks like a distance: one that leads to
/// code leads to a function's start, or is the code that replaces a site. What is done at a fault (entries with code
/// outside of the function) is a function or a number.
bool ImageTables::is_reference(const arch::TableLayout& layout, const ImageField& f) const {
  if (layout.replacement && layout.replacement->first == f.at) return true;
  if (!f.section->is_exec()) return !layout.outlined;
  const auto& symbols = f.section->symbols;
  const auto at = std::lower_bound(symbols.begin(), symbols.end(), f.value,
                                   [](const elf::Symbol* s, uint64_t v) { return s->value < v; });
  return at != symbols.end() && (*at)->value == f.value;
}

std::vector<ImageField> ImageTables::fields(const ImageEntry& entry) const {
  std::vector<ImageField> result;
  const std::vector<uint32_t> places = all_fields(*entry.layout);
  for (size_t i = 0; i < places.size(); ++i) {
    const uint32_t end = i + 1 < places.size() ? places[i + 1] : entry.layout->size;
    const ImageField f = field(*entry.section, entry.offset, places[i], end - places[i]);
    if (f.section == nullptr && f.external == nullptr) continue;
    if (linked_ && contains(entry.layout->sometimes, f.at) && !is_reference(*entry.layout, f)) continue;
    result.push_back(f);
  }
  return result;
}

std::optional<ImageTables::Replacement> ImageTables::replacement(const ImageEntry& entry) const {
  if (!entry.layout->replacement) return std::nullopt;
  const auto [code_at, length_at] = *entry.layout->replacement;
  const std::vector<ImageField> all = fields(entry);
  const auto at = [&](uint32_t place) {
    return std::find_if(all.begin(), all.end(), [&](const ImageField& f) { return f.at == place; });
  };
  const auto code = at(code_at);
  if (code == all.end() || code->section == nullptr) return std::nullopt;
  uint64_t size = 0;
  if (entry.layout->lengths_are_ends) {
    const auto end = at(length_at);
    if (end == all.end() || end->section != code->section || end->value < code->value) return std::nullopt;
    size = end->value - code->value;
  } else {
    size = std::to_integer<uint64_t>(entry.section->data[entry.offset + length_at]);
  }
  const uint64_t start = code->value - code->section->address;
  if (start > code->section->data.size() || code->section->data.size() - start < size) return std::nullopt;
  return Replacement{*code, size};
}

}  // namespace klp::diff
