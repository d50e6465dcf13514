#include "elf/inlined_into.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include "elf/linked_dwarf.h"
#include "elf/relocated_dwarf.h"
#include "support/error.h"

namespace klp::elf {
namespace {

constexpr uint16_t kRelocatable = 1;  // ET_REL
constexpr int kDeepest = 64;

std::string name_of(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  const char* name = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &attribute));
  return name != nullptr ? name : "";
}

class Walk {
 public:
  Walk(const std::set<std::string>& asked, std::map<std::string, std::set<std::string>>& result)
      : asked_(asked), result_(result) {}

  /// `inside` is the function that the code of these entries belongs to.
  void children(Dwarf_Die& parent, const std::string& inside, int depth) {
    Dwarf_Die die;
    if (depth > kDeepest || dwarf_child(&parent, &die) != 0) return;
    do {
      const Dwarf_Off here = dwarf_dieoffset(&die);
      check(here > last_, "debug information: the entry at {:#x} links back to {:#x}", last_, here);
      last_ = here;
      const int tag = dwarf_tag(&die);
      if (tag == DW_TAG_subprogram) {
        // What a function without code of its own would inline tells nothing.
        const bool has_code = dwarf_hasattr(&die, DW_AT_low_pc) != 0 || dwarf_hasattr(&die, DW_AT_ranges) != 0;
        if (has_code) children(die, name_of(die), depth + 1);
      } else if (tag == DW_TAG_inlined_subroutine) {
        if (const std::string name = name_of(die); asked_.count(name) != 0) result_[name].insert(inside);
        children(die, inside, depth + 1);
      } else if (tag == DW_TAG_lexical_block) {
        children(die, inside, depth + 1);
      }
    } while (dwarf_siblingof(&die, &die) == 0);
  }

 private:
  const std::set<std::string>& asked_;
  std::map<std::string, std::set<std::string>>& result_;
  Dwarf_Off last_ = 0;
};

std::map<std::string, std::set<std::string>> in_units(::Dwarf* dwarf, const FunctionsByFile& functions) {
  std::map<std::string, std::set<std::string>> result;
  Dwarf_Off offset = 0, next = 0;
  size_t header = 0;
  while (dwarf != nullptr && dwarf_nextcu(dwarf, offset, &next, &header, nullptr, nullptr, nullptr) == 0 &&
         next > offset) {
    Dwarf_Die unit;
    if (dwarf_offdie(dwarf, offset + header, &unit) != nullptr) {
      const std::string source = name_of(unit);
      const auto asked = functions.find(source.substr(source.rfind('/') + 1));
      if (asked != functions.end()) Walk(asked->second, result).children(unit, "", 0);
    }
    offset = next;
  }
  return result;
}

}  // namespace

std::map<std::string, std::set<std::string>> inlined_into(const ElfObject& binary, const FunctionsByFile& functions) {
  if (functions.empty()) return {};
  if (binary.type() != kRelocatable) return in_units(LinkedDwarf(binary.name()).get(), functions);
  const RelocatedDwarf dwarf(binary, RelocatedDwarf::Rows::dropped);
  return in_units(dwarf.get(), functions);
}

}  // namespace klp::elf
