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

/// A function that was inlined into another one's code.
struct InlinedCall {
  std::string name;
  unsigned line = 0;  ///< of the call, in the function below; 0: not known
  int into = -1;      ///< the inlined call (index in the same list) whose body it stands in; -1: the function itself
};

struct DebugInfo {
  std::vector<StaticLocal> static_locals;
  /// Where variables lie (section, offset in it) that are a number, a pointer or an enumerator: no array and no
  /// structure, so nothing walks over them and asks for their end.
  std::set<std::pair<const Section*, uint64_t>> single_values;
  std::map<std::string, SourcePlace> functions;  ///< by name, where they are declared
  std::set<std::string, std::less<>> noreturn;   ///< functions that are declared never to return
  /// What each function with code has inlined, in the order of the entries; clones count as the function they are of.
  std::map<std::string, std::vector<InlinedCall>> inlined;
};

/// Reads an object's DWARF with libdw. Empty without (or with compressed) debug information. Malformed DWARF is an
/// Error.
DebugInfo read_debug_info(const ElfObject& object);

}  // namespace klp::elf
