#include "elf/line_table.h"

#include <elfutils/libdw.h>

#include <algorithm>

#include "elf/relocated_dwarf.h"

namespace klp::elf {

std::optional<unsigned> LineTable::line_at(const Section& section, uint64_t offset) const {
  const auto found = rows_.find(section.index);
  if (found == rows_.end()) return std::nullopt;
  const std::vector<Row>& rows = found->second;
  const auto after = std::upper_bound(rows.begin(), rows.end(), offset,
                                      [](uint64_t value, const Row& row) { return value < row.offset; });
  if (after == rows.begin() || (after - 1)->line == 0) return std::nullopt;
  return (after - 1)->line;
}

LineTable read_line_table(const ElfObject& object) {
  LineTable result;
  const RelocatedDwarf dwarf(object, RelocatedDwarf::Rows::kept);
  if (dwarf.get() == nullptr) return result;
  Dwarf_CU* unit = nullptr;
  Dwarf_Die die;
  while (dwarf_get_units(dwarf.get(), unit, &unit, nullptr, nullptr, &die, nullptr) == 0) {
    Dwarf_Lines* lines = nullptr;
    size_t count = 0;
    if (dwarf_getsrclines(&die, &lines, &count) != 0) continue;
    for (size_t i = 0; i < count; ++i) {
      Dwarf_Line* line = dwarf_onesrcline(lines, i);
      Dwarf_Addr address = 0;
      int number = 0;
      bool ends = false;
      if (dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0) continue;
      if (dwarf_lineendsequence(line, &ends) != 0) continue;
      const uint64_t offset = address & ((1ULL << kSectionShift) - 1);
      result.rows_[address >> kSectionShift].push_back(
          {offset, ends || number < 0 ? 0U : static_cast<unsigned>(number)});
    }
  }
  // Several rows of one address: the last one holds.
  for (auto& [section, rows] : result.rows_) {
    std::stable_sort(rows.begin(), rows.end(),
                     [](const LineTable::Row& a, const LineTable::Row& b) { return a.offset < b.offset; });
  }
  return result;
}

}  // namespace klp::elf
