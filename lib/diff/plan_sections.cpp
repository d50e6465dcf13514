#include "diff/plan_sections.h"

#include "support/error.h"

namespace klp::diff {

size_t PlanSections::add_section(const elf::Section& like, std::string name, std::span<const std::byte> data,
                                 uint64_t nobits) {
  PlanSection s;
  s.name = std::move(name);
  s.type = like.type;
  s.flags = like.flags & (elf::kShfWrite | elf::kShfAlloc | elf::kShfExec);
  s.addralign = like.addralign;
  check(like.has_data() || data.empty(), "{}: has content, but none in the file", like.name);
  s.data.assign(data.begin(), data.end());
  s.nobits_size = nobits;
  object_.sections.push_back(std::move(s));
  return object_.sections.size() - 1;
}

size_t PlanSections::table_section(const elf::Section& like, std::string_view name) {
  const auto [slot, made] = table_sections_.try_emplace(std::string(name.empty() ? like.name : name), 0);
  if (made) slot->second = add_section(like, slot->first, {});
  return slot->second;
}

size_t PlanSections::add_symbol(PlanSymbol symbol) {
  object_.symbols.push_back(std::move(symbol));
  return object_.symbols.size() - 1;
}

size_t PlanSections::section_symbol(size_t index) {
  const auto [slot, made] = section_symbols_.try_emplace(index, 0);
  if (made) slot->second = add_symbol({"", index, 0, 0, elf::kStbLocal, elf::kSttSection, 0});
  return slot->second;
}

size_t PlanSections::string_symbol() {
  if (string_symbol_ == SIZE_MAX) {
    PlanSection s;
    s.name = ".rodata.klp_str";
    s.type = elf::kShtProgbits;
    s.flags = elf::kShfAlloc;
    s.addralign = 1;
    object_.sections.push_back(std::move(s));
    string_symbol_ = section_symbol(object_.sections.size() - 1);
  }
  return string_symbol_;
}

uint64_t PlanSections::append(size_t index, std::span<const std::byte> bytes) {
  auto& data = section(index).data;
  const uint64_t start = data.size();
  data.insert(data.end(), bytes.begin(), bytes.end());
  return start;
}

void PlanSections::add_jump(size_t index, uint64_t offset, size_t to, uint64_t target) {
  PlanRelocation planned;
  planned.offset = offset;
  planned.type = arch_.relative_type();
  planned.symbol = section_symbol(to);
  planned.addend = arch_.addend_for(planned.type, static_cast<int64_t>(target), sizeof(uint32_t));
  section(index).relocations.push_back(std::move(planned));
}

void PlanSections::add_range(const elf::ElfObject& object, const TableEntry& entry, size_t symbol, uint64_t offset,
                             bool state) {
  static constexpr std::byte kEndMark[16] = {};
  const elf::Section* parallel = object.maybe_section(entry.spec->parallel);
  const uint64_t number = entry.offset / entry.size, size = entry.spec->parallel_size;
  check(parallel != nullptr && (number + 1) * size <= parallel->data.size(), "{}: no record for entry {}",
        entry.spec->parallel, number);
  const size_t index = table_section(*entry.section);
  const uint64_t start = append(index, std::vector<std::byte>(entry.size));
  append(table_section(*parallel),
         state ? parallel->data.subspan(number * size, size) : std::span<const std::byte>(kEndMark, size));
  PlanRelocation planned;
  planned.offset = start;
  planned.type = arch_.relative_type();
  planned.symbol = symbol;
  planned.addend = static_cast<int64_t>(offset);
  section(index).relocations.push_back(planned);
}

void PlanSections::clear_field(size_t index, uint64_t offset, const elf::Relocation& r) {
  auto& data = section(index).data;
  const arch::FieldKind kind = arch_.field_kind(r);
  check(offset + kind.width <= data.size(), "{}: relocation at {:#x} reaches over the end", section(index).name,
        offset);
  arch::clear_field(kind, std::span(data).subspan(offset, kind.width));
}

}  // namespace klp::diff
