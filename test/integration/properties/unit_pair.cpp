#include "unit_pair.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "elf/symbol_index.h"

namespace klp::test {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_part(std::string_view name) {
  return name.ends_with(".cold");
}

}  // namespace

diff::TableSizes table_sizes_of_6_1() {
  diff::TableSizes sizes;
  sizes.structs = {{"alt_instr", 12},       {"paravirt_patch_site", 16},   {"jump_entry", 16},
                   {"static_call_site", 8}, {"exception_table_entry", 12}, {"bug_entry", 12}};
  return sizes;
}

namespace {

elf::Exports exports_for(const elf::ElfObject& original, const elf::ElfObject& patched, const Surroundings& around) {
  elf::Exports exports;
  for (const elf::ElfObject* object : {&original, &patched}) {
    for (const elf::Symbol& s : object->symbols()) {
      if (s.name.starts_with("__ksymtab_")) exports[std::string(s.name.substr(10))] = {1, "vmlinux", false, ""};
      if (!s.is_undefined() || s.name.empty()) continue;
      const auto found = around.exported_by.find(s.name);
      const std::string_view by = found == around.exported_by.end() ? "vmlinux" : std::string_view(found->second);
      if (!by.empty()) exports[std::string(s.name)] = {1, by, false, ""};
    }
  }
  return exports;
}

diff::UnitResult analyse(const elf::ElfObject& original, const elf::ElfObject& patched, const Surroundings& around,
                         bool shipped) {
  const elf::Exports exports = exports_for(original, patched, around);
  const elf::SymbolIndex index(around.shipped != nullptr ? *around.shipped : original);
  diff::UnitInput input;
  input.original = &original;
  input.patched = &patched;
  input.unit = "unit.o";
  input.object = around.object;
  input.shipped = shipped ? &index : nullptr;
  input.vmlinux = &index;
  input.exports = &exports;
  input.table_sizes = table_sizes_of_6_1();
  return diff::analyse(input);
}

}  // namespace

diff::UnitResult analyse_pair(const elf::ElfObject& original, const elf::ElfObject& patched,
                              const Surroundings& around) {
  return analyse(original, patched, around, true);
}

diff::UnitResult analyse_pair(const elf::ElfObject& original, const elf::ElfObject& patched, bool shipped) {
  return analyse(original, patched, {}, shipped);
}

std::string plain_name(std::string_view name) {
  std::string result(name);
  if (const size_t id = result.find("__UNIQUE_ID_"); id != std::string::npos) {
    while (result.size() > id + 12 &&
           (std::isdigit(static_cast<unsigned char>(result.back())) != 0 || result.back() == '.'))
      result.pop_back();
    return result;
  }
  for (size_t dot = result.rfind('.'); dot != std::string::npos && dot > 0; dot = result.rfind('.')) {
    if (!is_digits(std::string_view(result).substr(dot + 1))) break;
    result.resize(dot);
  }
  return result;
}

std::string plain_data_name(std::string_view name) {
  const std::string plain = plain_name(name);
  const size_t dot = plain.rfind('.');
  if (dot == std::string::npos || dot == 0) return plain;
  const std::string last = plain.substr(dot + 1);
  return last == "isra" || last == "constprop" || last == "part" || last == "cold" ? plain : last;
}

std::set<std::string> functions_of(const diff::UnitResult& result, std::string_view change) {
  std::set<std::string> names;
  for (const diff::FunctionReport& f : result.functions) {
    const std::string name = plain_name(f.name);
    if (f.change == change && !is_part(name)) names.insert(name);
  }
  return names;
}

std::set<std::string> data_of(const diff::UnitResult& result) {
  std::set<std::string> names;
  for (const diff::DataReport& d : result.data) names.insert(plain_data_name(d.name));
  return names;
}

std::set<std::string> refusals_of(const diff::UnitResult& result) {
  std::set<std::string> list;
  for (const Finding& f : result.findings.list()) {
    if (f.severity == Severity::refusal) list.insert(f.code + " " + plain_data_name(f.symbol));
  }
  return list;
}

std::set<std::string> klp_names(const diff::UnitResult& result) {
  std::set<std::string> names;
  for (const diff::PlanSection& section : result.plan.sections) {
    for (const diff::PlanRelocation& r : section.relocations) {
      if (r.target == diff::PlanRelocation::Target::klp) names.insert(plain_data_name(r.klp.symbol));
    }
  }
  return names;
}

std::string essence(const diff::UnitResult& result) {
  std::string text = result.changed ? "changed\n" : "unchanged\n";
  for (const char* change : {"changed", "new", "lifted", "bundled", "removed"})
    text += fmt::format("{}: {}\n", change, fmt::join(functions_of(result, change), " "));
  text += fmt::format("data: {}\n", fmt::join(data_of(result), " "));
  text += fmt::format("refused: {}\n", fmt::join(refusals_of(result), ", "));
  if (!result.findings.has_refusal()) text += fmt::format("klp: {}\n", fmt::join(klp_names(result), " "));
  return text;
}

std::string describe(const diff::UnitResult& result) {
  std::string text = essence(result);
  for (const Finding& f : result.findings.list())
    text += fmt::format("  {} {} {}: {}\n", to_string(f.severity), f.code, f.symbol, f.message);
  for (const diff::FunctionReport& f : result.functions)
    text += fmt::format("  {} {}: {}\n", f.change, f.name, fmt::join(f.because, "; "));
  for (const diff::DataReport& d : result.data)
    text += fmt::format("  data {} {} in {}: {}\n", d.change, d.name, d.section, fmt::join(d.because, "; "));
  return text;
}

}  // namespace klp::test
