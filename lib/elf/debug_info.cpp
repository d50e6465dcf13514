// libdw wants linked addresses. The object's debug sections are relocated in a copy, and an address gets the number of
// its section in the upper bits: (index << 40) + offset. So every address read back says which section it means.
#include "elf/debug_info.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include <cstring>
#include <memory>
#include <set>

#include "support/error.h"

namespace klp::elf {
namespace {

constexpr unsigned kSectionShift = 40;

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};
struct DwarfEnd {
  void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
};

unsigned absolute_width(uint16_t machine, uint32_t type) {
  if (machine == EM_X86_64) return type == R_X86_64_64 ? 8 : type == R_X86_64_32 ? 4 : 0;
  if (machine == EM_PPC64) return type == R_PPC64_ADDR64 ? 8 : type == R_PPC64_ADDR32 ? 4 : 0;
  return 0;
}

std::vector<char> relocated_copy(const ElfObject& object) {
  const auto bytes = object.bytes();
  std::vector<char> copy(reinterpret_cast<const char*>(bytes.data()),
                         reinterpret_cast<const char*>(bytes.data()) + bytes.size());
  for (const Section& section : object.sections()) {
    if (!section.name.starts_with(".debug_") || section.data.empty()) continue;
    const size_t start = static_cast<size_t>(section.data.data() - bytes.data());
    for (const Relocation& r : section.relocations) {
      const unsigned width = absolute_width(object.machine(), r.type);
      if (width == 0 || r.offset + width > section.size) continue;
      uint64_t value = r.symbol->value + static_cast<uint64_t>(r.addend);
      if (width == 8 && r.symbol->is_defined())
        value += static_cast<uint64_t>(r.symbol->section->index) << kSectionShift;
      std::memcpy(copy.data() + start + r.offset, &value, width);
    }
  }
  return copy;
}

std::string name_of(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  const char* name = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &attribute));
  return name != nullptr ? name : std::string();
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

class Reader {
 public:
  Reader(const ElfObject& object, DebugInfo& result) : object_(object), result_(result) {}

  void read(Dwarf* dwarf) {
    Dwarf_Off offset = 0;
    Dwarf_Off next = 0;
    size_t header = 0;
    while (dwarf_nextcu(dwarf, offset, &next, &header, nullptr, nullptr, nullptr) == 0) {
      Dwarf_Die unit;
      if (dwarf_offdie(dwarf, offset + header, &unit) != nullptr) children(unit, "", "", 0);
      offset = next;
    }
  }

 private:
  void children(Dwarf_Die& parent, const std::string& function, const std::string& block, int depth) {
    Dwarf_Die die;
    if (depth > 64 || dwarf_child(&parent, &die) != 0) return;
    unsigned blocks = 0;
    do {
      switch (dwarf_tag(&die)) {
        case DW_TAG_subprogram: {
          const std::string name = name_of(die);
          note_function(die, name);
          children(die, name, "", depth + 1);
          break;
        }
        case DW_TAG_inlined_subroutine:
          children(die, name_of(die), "", depth + 1);
          break;
        case DW_TAG_lexical_block: {
          const std::string inner = fmt::format("{}{}.", block, ++blocks);
          children(die, function, inner, depth + 1);
          break;
        }
        case DW_TAG_variable:
          if (!function.empty()) note_variable(die, function, block);
          break;
        default:
          break;
      }
    } while (dwarf_siblingof(&die, &die) == 0);
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
    if (dwarf_getlocation(&attribute, &operations, &count) != 0 || count != 1 || operations[0].atom != DW_OP_addr)
      return;
    const uint64_t index = operations[0].number >> kSectionShift;
    if (index == 0 || index >= object_.sections().size()) return;
    StaticLocal local;
    local.section = &object_.sections()[index];
    local.offset = operations[0].number & ((1ULL << kSectionShift) - 1);
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
};

}  // namespace

DebugInfo read_debug_info(const ElfObject& object) {
  DebugInfo result;
  if (object.maybe_section(".debug_info") == nullptr) return result;
  std::vector<char> copy = relocated_copy(object);
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, ElfEnd> elf(elf_memory(copy.data(), copy.size()));
  check(elf != nullptr, "{}: {}", object.name(), elf_errmsg(-1));
  const std::unique_ptr<Dwarf, DwarfEnd> dwarf(dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr));
  if (dwarf == nullptr) return result;
  Reader(object, result).read(dwarf.get());
  return result;
}

}  // namespace klp::elf
