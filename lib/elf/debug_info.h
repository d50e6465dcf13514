// What the engine takes from DWARF: which variable a numbered static local really is, which variables are single
// values, and where functions stand in the source.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "elf/elf_object.h"

namespace klp::elf {

/// A static variable declared inside a function. gcc names it `n.0`, numbered from the end of the file, so its name
/// says nothing.
struct StaticLocal {
  const Section* section = nullptr;
  uint64_t offset = 0;  ///< within the section
  std::string function;
  std::string block;  ///< path of lexical blocks inside the function, "" for its outermost; e.g. "2.1"
  std::string name;   ///< as written in the source
  std::string type;   ///< spelled out, enough to tell types apart
};

struct SourcePlace {
  std::string file;
  unsigned line = 0;
};

struct DebugInfo {
  std::vector<StaticLocal> static_locals;
  /// Where variables lie (section, offset in it) that are a number, a pointer or an enumerator: no array and no
  /// structure, so nothing walks over them and asks for their end.
  std::set<std::pair<const Section*, uint64_t>> single_values;
  std::map<std::string, SourcePlace> functions;  ///< by name, where they are declared
};

/// Reads an object's DWARF with libdw. Empty without (or with compressed) debug information. Malformed DWARF is an
/// Error.
DebugInfo read_debug_info(const ElfObject& object);

}  // namespace klp::elf
