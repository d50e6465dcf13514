#include "elf/debug_info.h"

#include <dwarf.h>
#include <elfutils/libdw.h>

#include <cstring>
#include <set>

#include "elf/relocated_dwarf.h"
#include "support/error.h"

namespace klp::elf {
namespace {

// An object has one unit, or a few when assembler files are in it; a whole module linked together, some hundreds.
constexpr unsigned kMaxUnits = 4096;
constexpr size_t kMaxName = 4096;

std::string name_of(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  const char* name = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &attribute));
  return name != nullptr ? std::string(name, strnlen(name, kMaxName)) : std::string();
}

/// Spells a type out: qualifiers and pointers as tags, down to a name. Anonymous types end with their size.
std::string type_of(Dwarf_Die& die) {
  std::string text;
  Dwarf_Die current = die;
  for (int depth = 0; depth < 16; ++depth) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    if (dwarf_formref_die(dwarf_attr_integrate(&current, DW_AT_type, &attribute), &next) == nullptr)
      return text + "void";
    const std::string name = name_of(next);
    text += fmt::format("{:x}:", dwarf_tag(&next));
    if (!name.empty()) return text + name;
    const int size = dwarf_bytesize(&next);
    if (size >= 0) text += fmt::format("{}:", size);
    current = next;
  }
  return text;
}

bool is_single_value(Dwarf_Die& variable) {
  Dwarf_Attribute attribute;
  Dwarf_Die named, type;
  if (dwarf_formref_die(dwarf_attr_integrate(&variable, DW_AT_type, &attribute), &named) == nullptr ||
      dwarf_peel_type(&named, &type) != 0)
    return false;
  const int tag = dwarf_tag(&type);
  return tag == DW_TAG_base_type || tag == DW_TAG_pointer_type || tag == DW_TAG_enumeration_type;
}

class Reader {
 public:
  Reader(const ElfObject& object, DebugInfo& result) : object_(object), result_(result) {}

  void read(Dwarf* dwarf) {
    Dwarf_Off offset = 0;
    Dwarf_Off next = 0;
    size_t header = 0;
    while (dwarf_nextcu(dwarf, offset, &next, &header, nullptr, nullptr, nullptr) == 0) {
      check(next > offset && ++units_ <= kMaxUnits, "debug information of too many units, or a unit of no size");
      Dwarf_Die unit;
      if (dwarf_offdie(dwarf, offset + header, &unit) != nullptr) children(unit, {}, "", 0);
      offset = next;
    }
  }

 private:
  /// Whose code the walk is in.
  struct Inside {
    std::string function;                       ///< as the source has it: an inlined one by its own name
    std::vector<InlinedCall>* calls = nullptr;  ///< of the function that has the code
    int call = -1;                              ///< the innermost of them
  };

  void children(Dwarf_Die& parent, const Inside& inside, const std::string& block, int depth) {
    Dwarf_Die die;
    if (depth > 64 || dwarf_child(&parent, &die) != 0) return;
    unsigned blocks = 0;
    do {
      in_order(die);
      switch (dwarf_tag(&die)) {
        case DW_TAG_subprogram: {
          const std::string name = name_of(die);
          note_function(die, name);
          if (!name.empty() && dwarf_hasattr_integrate(&die, DW_AT_noreturn) != 0) result_.noreturn.insert(name);
          children(die, {name, name.empty() ? nullptr : &result_.inlined[name], -1}, "", depth + 1);
          break;
        }
        case DW_TAG_inlined_subroutine:
          children(die, inlined(die, inside), "", depth + 1);
          break;
        case DW_TAG_lexical_block: {
          const std::string inner = fmt::format("{}{}.", block, ++blocks);
          children(die, inside, inner, depth + 1);
          break;
        }
        case DW_TAG_variable:
          note_variable(die, inside.function, block);
          break;
        default:
          break;
      }
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  static Inside inlined(Dwarf_Die& die, const Inside& inside) {
    Inside result{name_of(die), inside.calls, -1};
    if (inside.calls == nullptr) return result;
    Dwarf_Attribute attribute;
    Dwarf_Word line = 0;
    if (dwarf_formudata(dwarf_attr(&die, DW_AT_call_line, &attribute), &line) != 0) line = 0;
    inside.calls->push_back({result.function, static_cast<unsigned>(line), inside.call});
    result.call = static_cast<int>(inside.calls->size()) - 1;
    return result;
  }

  /// Entries stand in the order of a walk. A link backwards (DW_AT_sibling) would make it endless.
  void in_order(Dwarf_Die& die) {
    const Dwarf_Off here = dwarf_dieoffset(&die);
    check(here > last_, "debug information: the entry at {:#x} links back to {:#x}", last_, here);
    last_ = here;
  }

  void note_function(Dwarf_Die& die, const std::string& name) {
    int line = 0;
    const char* file = dwarf_decl_file(&die);
    if (name.empty() || file == nullptr || dwarf_decl_line(&die, &line) != 0) return;
    SourcePlace place{std::string(file).starts_with("./") ? file + 2 : file, static_cast<unsigned>(line)};
    // The definition (it has code) wins over a declaration.
    if (dwarf_hasattr(&die, DW_AT_declaration) == 0) {
      result_.functions.insert_or_assign(name, place);
    } else {
      result_.functions.emplace(name, place);
    }
  }

  void note_variable(Dwarf_Die& die, const std::string& function, const std::string& block) {
    Dwarf_Attribute attribute;
    Dwarf_Op* operations = nullptr;
    size_t count = 0;
    if (dwarf_attr(&die, DW_AT_location, &attribute) == nullptr) return;
    if (dwarf_getlocation(&attribute, &operations, &count) != 0 || count != 1) return;
    Dwarf_Addr address = operations[0].number;
    if (operations[0].atom == DW_OP_addrx) {  // clang: an index into .debug_addr
      Dwarf_Attribute indirect;
      if (dwarf_getlocation_attr(&attribute, operations, &indirect) != 0 || dwarf_formaddr(&indirect, &address) != 0)
        return;
    } else if (operations[0].atom != DW_OP_addr) {
      return;
    }
    const uint64_t index = address >> kSectionShift;
    if (index == 0 || index >= object_.sections().size()) return;
    StaticLocal local;
    local.section = &object_.sections()[index];
    local.offset = address & ((1ULL << kSectionShift) - 1);
    if (is_single_value(die)) result_.single_values.emplace(local.section, local.offset);
    if (function.empty()) return;
    if (!seen_.insert({index, local.offset}).second) return;
    local.function = function;
    local.block = block;
    local.name = name_of(die);
    local.type = type_of(die);
    result_.static_locals.push_back(std::move(local));
  }

  const ElfObject& object_;
  DebugInfo& result_;
  std::set<std::pair<uint64_t, uint64_t>> seen_;
  Dwarf_Off last_ = 0;
  unsigned units_ = 0;
};

}  // namespace

DebugInfo read_debug_info(const ElfObject& object) {
  DebugInfo result;
  const RelocatedDwarf dwarf(object, RelocatedDwarf::Rows::dropped);
  if (dwarf.get() != nullptr) Reader(object, result).read(dwarf.get());
  return result;
}

}  // namespace klp::elf
