#include "elf/compile_units.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstdlib>
#include <map>
#include <optional>

#include "elf/linked_dwarf.h"
#include "elf/relocated_dwarf.h"
#include "support/error.h"

namespace klp::elf {
namespace {

std::string name_of(Dwarf_Die& die) {
  const char* name = dwarf_diename(&die);
  return name != nullptr ? name : "";
}

}  // namespace

struct CompileUnits::State {
  explicit State(const ElfObject& shipped) {
    if (shipped.type() == 1) {
      read_names(shipped);
      return;
    }
    image.emplace(shipped.name());
    linked = image->get();
  }

  /// The global functions of all units.
  void read_names(const ElfObject& shipped) {
    const RelocatedDwarf dwarf(shipped, RelocatedDwarf::Rows::dropped);
    if (dwarf.get() == nullptr) return;
    Dwarf_Off offset = 0;
    Dwarf_Off next = 0;
    size_t header = 0;
    while (dwarf_nextcu(dwarf.get(), offset, &next, &header, nullptr, nullptr, nullptr) == 0 && next > offset) {
      Dwarf_Die unit;
      if (dwarf_offdie(dwarf.get(), offset + header, &unit) != nullptr) read_unit(unit);
      offset = next;
    }
  }

  void read_unit(Dwarf_Die& unit) {
    const std::string source = name_of(unit);
    Dwarf_Die die;
    if (dwarf_child(&unit, &die) != 0) return;
    do {
      Dwarf_Attribute attribute;
      if (dwarf_tag(&die) != DW_TAG_subprogram || dwarf_attr(&die, DW_AT_low_pc, &attribute) == nullptr) continue;
      const std::string name = [&] {
        const char* text = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &attribute));
        return std::string(text != nullptr ? text : "");
      }();
      const bool external = dwarf_attr_integrate(&die, DW_AT_external, &attribute) != nullptr;
      if (external && !name.empty()) by_name.emplace(name, source);
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  std::optional<LinkedDwarf> image;
  ::Dwarf* linked = nullptr;
  std::map<std::string, std::string, std::less<>> by_name;
};

CompileUnits::CompileUnits(const ElfObject& shipped) : state_(std::make_unique<State>(shipped)) {}
CompileUnits::~CompileUnits() = default;
CompileUnits::CompileUnits(CompileUnits&&) noexcept = default;

std::string CompileUnits::source_of(const Symbol& function) const {
  if (state_->linked != nullptr) {
    Dwarf_Die unit;
    return dwarf_addrdie(state_->linked, function.value, &unit) != nullptr ? name_of(unit) : std::string();
  }
  if (function.is_local()) return std::string(function.file);
  const auto found = state_->by_name.find(function.name);
  return found == state_->by_name.end() ? std::string() : found->second;
}

std::vector<unsigned> CompileUnits::lines_at(uint64_t address) const {
  Dwarf_Die unit;
  if (state_->linked == nullptr || dwarf_addrdie(state_->linked, address, &unit) == nullptr) return {};
  std::vector<unsigned> result;
  Dwarf_Line* row = dwarf_getsrc_die(&unit, address);
  int line = 0;
  if (row != nullptr && dwarf_lineno(row, &line) == 0 && line > 0) result.push_back(static_cast<unsigned>(line));
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes(&unit, address, &scopes);
  for (int i = 0; i < count; ++i) {
    Dwarf_Attribute attribute;
    Dwarf_Word call = 0;
    if (dwarf_tag(&scopes[i]) == DW_TAG_inlined_subroutine &&
        dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attribute), &call) == 0)
      result.push_back(static_cast<unsigned>(call));
  }
  free(scopes);
  return result;
}

}  // namespace klp::elf
