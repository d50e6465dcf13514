// What differs between two builds of the same binary: two vmlinux, two modules, two objects.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elf/elf_object.h"
#include "elf/source_lines.h"

namespace klp::diff {

struct ImageChange {
  enum class Kind { changed, added, removed };
  Kind kind = Kind::changed;
  std::string name;                       ///< without the compiler's numbers; a .cold part counts as its function
  std::string file;                       ///< of a local function, "meminfo.c"; may be empty
  uint64_t old_size = 0, new_size = 0;    ///< bytes, .cold parts not counted; 0: not there
  std::string reason;                     ///< of a changed one: its first difference
  size_t old_symbol = 0, new_symbol = 0;  ///< of functions: index in the symbol table; 0: not there
  std::string area{};                     ///< the kind of memory it was in, or is in when it is new: ".init.text"
  std::optional<bool> traceable{};        ///< of functions: whether the old one has an ftrace site, where it is known
  /// Of a changed function without one: functions with one that call it directly, in the same binary; the first ones.
  std::vector<std::string> callers{};
};

struct ImageDifference {
  std::vector<ImageChange> functions;             ///< by kind, then weight: the largest first; then by name
  std::vector<ImageChange> variables;             ///< likewise; what they hold at first
  uint64_t compared = 0, compared_variables = 0;  ///< of the second build
  /// Differences that mean nothing, by their names, with the number of functions that have no others.
  std::map<std::string, uint64_t> noise;
  /// The same functions and variables themselves.
  struct Quiet {
    std::vector<ImageChange> functions, variables;
  };
  std::map<std::string, Quiet> quiet;
  /// What was not looked at, and why.
  std::vector<std::string> not_compared;
};

/// Source lines of modules and objects: called when a constant differs that may be a line number. May be empty.
using LineSource = std::function<std::shared_ptr<const elf::SourceLines>()>;
struct LineSources {
  LineSource before{}, after{};
};

/// Compares two linked images, or two modules or objects (read with the relocations of allocated sections), function by
/// function in the normal form of image_form.h. Names of noise: "per-cpu addresses", "line numbers" (by DWARF, of
/// linked images by their own; or behind a file's name in a text), "line numbers in tables" (of warnings, and of
/// variables that say where a message stands), "moved to another file", "build information" (versions, times). Entries
/// of the kernel's tables that belong to no function, and the stack unwinder's, are not looked at. Error when they are
/// for different machines.
ImageDifference compare_images(const elf::ElfObject& before, const elf::ElfObject& after,
                               const LineSources& lines = {});

/// Compares two relocatable objects of one unit as `build` does: correlated by what the code means, with the kernel
/// tables that belong to a function, and without regard to line numbers ("line numbers" in noise).
ImageDifference compare_units(const elf::ElfObject& before, const elf::ElfObject& after);

/// Error when two objects are for different machines.
void check_machines(const elf::ElfObject& before, const elf::ElfObject& after);

/// By kind, then weight, then name.
void sort_by_weight(std::vector<ImageChange>& changes);

}  // namespace klp::diff
