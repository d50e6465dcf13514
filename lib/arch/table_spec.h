// How an architecture describes the tables that its kernels keep beside the code.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace klp::arch {

/// How an entry of a kernel table of this size is laid out. Offsets are from the entry's start.
struct TableLayout {
  uint32_t size = 0;
  std::vector<uint32_t> fields{};     ///< where relocations stand; the first ties the entry to its function
  std::vector<uint32_t> sometimes{};  ///< further places of relocations, which not every kernel has
  std::vector<std::pair<uint32_t, uint32_t>>
      ignored{};  ///< (offset, size) of bytes that are no functional difference (line numbers)
  /// Code copied over the site at load: offsets of the field that points to it and of its length byte.
  std::optional<std::pair<uint32_t, uint32_t>> replacement{};
  /// Offset of the byte with the length of the site that is patched at load.
  std::optional<uint32_t> site_length{};
  bool lengths_are_ends = false;  ///< instead of the two lengths there are fields that point to the ends
  /// An entry whose first two fields name one place says nothing: kpatch leaves such ones where it removed a jump
  /// label.
  bool void_when_equal = false;
  /// Offset of the field that points to code behind the functions' sections that belongs to the entry (.fixup).
  std::optional<uint32_t> outlined{};
};

/// A kernel table that is cut into entries. An entry belongs to the function that its first field points into.
struct TableSpec {
  std::string_view section;
  std::string_view loader_name{};      ///< the section's name in a module, where it is another one
  std::string_view entry_struct{};     ///< kernel struct whose size is an entry's; empty: there is one layout
  std::vector<TableLayout> layouts{};  ///< of all kernels; the object's relocations or BTF/DWARF tell which
  std::string_view parallel{};         ///< a second section with one record per entry (.orc_unwind for .orc_unwind_ip)
  uint32_t parallel_size = 0;
  bool compared = false;  ///< says something the code does not: part of the function's normal form
  bool drop = false;      ///< never carried
  /// Position-dependent records that say what holds from an address on (ORC): a function needs the one in force at its
  /// start and an end mark.
  bool ranges = false;
  bool code_is_complete = false;  ///< without the entry the code does the same, only slower (static calls)
  bool switches_branch = false;   ///< the entry turns a NOP into a jump and back (jump labels)
  bool may_end_short = false;     ///< the last entry may lack its padding (.parainstructions)
  bool for_build_tools = false;   ///< read at the module's link (objtool) and dropped there
  /// Run-time constants (include/asm/runtime-const.h): `section` is the start of the name and the rest that of a
  /// variable, whose value the booting kernel writes into so many bytes of code at the entry's place. 0: none are.
  uint8_t constant_size = 0;

  /// Whether a section of this name is such a table.
  bool is(std::string_view name) const {
    return constant_size == 0 ? name == section : name.starts_with(section) && name.size() > section.size();
  }
};

}  // namespace klp::arch
