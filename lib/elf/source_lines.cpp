#include "elf/source_lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "elf/linked_dwarf.h"
#include "elf/relocated_dwarf.h"

namespace klp::elf {
namespace {

constexpr uint16_t kRelocatable = 1;  // ET_REL

std::string compilation_directory(Dwarf_Die& unit) {
  Dwarf_Attribute attribute;
  const char* text = dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute));
  return text != nullptr ? text : "";
}

/// As the compiler was called: libdw puts the directory of the compilation in front.
std::string_view without_directory(std::string_view path, std::string_view directory) {
  if (!directory.empty() && path.starts_with(directory)) {
    path.remove_prefix(directory.size());
    while (path.starts_with('/')) path.remove_prefix(1);
  }
  while (path.starts_with("./")) path.remove_prefix(2);
  return path;
}

}  // namespace

struct SourceLines::State {
  State() = default;
  explicit State(const ElfObject& binary) {
    if (binary.type() == kRelocatable)
      read_all(binary);
    else if (binary.maybe_section(".debug_line") != nullptr)
      image.emplace(binary.name());
    if (image) linked = image->get();
    has_index = binary.maybe_section(".debug_aranges") != nullptr;
  }

  void read_all(const ElfObject& binary) {
    const RelocatedDwarf dwarf(binary, RelocatedDwarf::Rows::kept);
    if (dwarf.get() == nullptr) return;
    Dwarf_CU* unit = nullptr;
    Dwarf_Die die;
    while (dwarf_get_units(dwarf.get(), unit, &unit, nullptr, nullptr, &die, nullptr) == 0) {
      each_row(die, [&](const SourceRow& row) {
        const size_t section = row.value >> kSectionShift;
        if (section >= binary.sections().size()) return;
        by_section[std::string(binary.sections()[section].name)].push_back(
            {row.value & ((1ULL << kSectionShift) - 1), row.file, row.line});
      });
    }
    for (auto& [section, rows] : by_section) sort(rows);
  }

  static void sort(std::vector<SourceRow>& rows) {
    // Several rows of one address: the last one holds. The end of a sequence is not the start of the next.
    std::stable_sort(rows.begin(), rows.end(), [](const SourceRow& a, const SourceRow& b) {
      if (a.value != b.value) return a.value < b.value;
      return a.file.empty() && !b.file.empty();
    });
  }

  template <typename See>
  void each_row(Dwarf_Die& unit, See see) {
    Dwarf_Lines* lines = nullptr;
    size_t count = 0;
    if (dwarf_getsrclines(&unit, &lines, &count) != 0) return;
    const std::string directory = compilation_directory(unit);
    std::map<const char*, std::string_view> seen;
    for (size_t i = 0; i < count; ++i) {
      Dwarf_Line* line = dwarf_onesrcline(lines, i);
      Dwarf_Addr address = 0;
      int number = 0;
      bool ends = false;
      if (dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0) continue;
      if (dwarf_lineendsequence(line, &ends) != 0) continue;
      const char* path = dwarf_linesrc(line, nullptr, nullptr);
      if (ends || path == nullptr || number < 0) {
        see(SourceRow{address, {}, 0});
        continue;
      }
      std::string_view& file = seen[path];
      if (file.empty()) file = *names.emplace(without_directory(path, directory)).first;
      see(SourceRow{address, file, static_cast<unsigned>(number)});
    }
  }

  /// The unit's rows; read once.
  const std::vector<SourceRow>* rows_of_unit_at(uint64_t address) {
    Dwarf_Die unit;
    if (linked == nullptr || !find_unit(address, unit)) return nullptr;
    const auto [found, is_new] = by_unit.try_emplace(dwarf_dieoffset(&unit));
    if (is_new) {
      each_row(unit, [&](const SourceRow& row) { found->second.push_back(row); });
      sort(found->second);
    }
    return &found->second;
  }

  bool find_unit(uint64_t address, Dwarf_Die& unit) const {
    if (dwarf_addrdie(linked, address, &unit) != nullptr) return true;
    if (has_index) return false;
    Dwarf_CU* next = nullptr;
    while (dwarf_get_units(linked, next, &next, nullptr, nullptr, &unit, nullptr) == 0) {
      if (dwarf_haspc(&unit, address) > 0) return true;
    }
    return false;
  }

  std::optional<LinkedDwarf> image;
  ::Dwarf* linked = nullptr;
  bool has_index = false;
  std::set<std::string, std::less<>> names;
  std::map<std::string, std::vector<SourceRow>, std::less<>> by_section;
  std::map<Dwarf_Off, std::vector<SourceRow>> by_unit;
};

SourceLines::SourceLines(const ElfObject& binary) : state_(std::make_unique<State>(binary)) {}
SourceLines::SourceLines() : state_(std::make_unique<State>()) {}
SourceLines::~SourceLines() = default;
SourceLines::SourceLines(SourceLines&&) noexcept = default;

bool SourceLines::is_empty() const {
  return state_->linked == nullptr && state_->by_section.empty();
}

std::vector<SourceRow> SourceLines::rows(std::string_view section, uint64_t value, uint64_t size) const {
  const std::vector<SourceRow>* all = state_->rows_of_unit_at(value);
  if (const auto found = state_->by_section.find(section); all == nullptr && found != state_->by_section.end())
    all = &found->second;
  if (all == nullptr || size == 0) return {};
  const auto behind = [](uint64_t v, const SourceRow& row) { return v < row.value; };
  auto first = std::upper_bound(all->begin(), all->end(), value, behind);
  if (first != all->begin()) --first;
  return {first, std::upper_bound(first, all->end(), value + size - 1, behind)};
}

SourceRow row_at(const std::vector<SourceRow>& rows, uint64_t value) {
  const auto after =
      std::upper_bound(rows.begin(), rows.end(), value, [](uint64_t v, const SourceRow& row) { return v < row.value; });
  return after == rows.begin() ? SourceRow{} : *std::prev(after);
}

}  // namespace klp::elf
