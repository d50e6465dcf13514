// The sizes of structs from a linked image's DWARF: what BTF says faster, for kernels that are built without.
#include <dwarf.h>
#include <elfutils/libdw.h>

#include <set>

#include "elf/btf.h"
#include "elf/linked_dwarf.h"
#include "support/error.h"

namespace klp::elf {
namespace {

/// Takes the wanted structs that stand at the top of a compile unit.
void look_at_unit(Dwarf_Die& unit, std::set<std::string>& wanted, std::map<std::string, uint64_t>& sizes) {
  Dwarf_Die die;
  if (dwarf_child(&unit, &die) != 0) return;
  do {
    if (dwarf_tag(&die) != DW_TAG_structure_type) continue;
    const char* name = dwarf_diename(&die);
    const int size = dwarf_bytesize(&die);
    if (name == nullptr || size < 0) continue;
    if (wanted.erase(name) != 0) sizes[name] = static_cast<uint64_t>(size);
  } while (!wanted.empty() && dwarf_siblingof(&die, &die) == 0);
}

}  // namespace

std::map<std::string, uint64_t> struct_sizes_from_dwarf(const std::filesystem::path& image,
                                                        const std::vector<std::string>& names) {
  const LinkedDwarf dwarf(image);
  check(dwarf.get() != nullptr, "{} has no readable debug information", image.string());
  std::set<std::string> wanted(names.begin(), names.end());
  std::map<std::string, uint64_t> sizes;
  Dwarf_Off offset = 0, next = 0;
  size_t header = 0;
  while (!wanted.empty() && dwarf_nextcu(dwarf.get(), offset, &next, &header, nullptr, nullptr, nullptr) == 0 &&
         next > offset) {
    Dwarf_Die unit;
    if (dwarf_offdie(dwarf.get(), offset + header, &unit) != nullptr) look_at_unit(unit, wanted, sizes);
    offset = next;
  }
  return sizes;
}

}  // namespace klp::elf
