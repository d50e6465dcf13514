// The engine: one unit's two objects in, its changes, findings and plan out (steps 4 to 11 of the data flow).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "diff/livepatch_module.h"
#include "diff/outside_uses.h"
#include "diff/tables.h"
#include "elf/elf_object.h"
#include "elf/symbol_index.h"
#include "elf/symvers.h"
#include "elf/types.h"
#include "support/finding.h"
#include "support/source_changes.h"

namespace klp::diff {

struct UnitInput {
  const elf::ElfObject* original = nullptr;
  const elf::ElfObject* patched = nullptr;
  std::string unit;                           ///< "fs/proc/meminfo.o"
  std::string object = "vmlinux";             ///< or the module's name
  const elf::SymbolIndex* shipped = nullptr;  ///< of the object
  const elf::SymbolIndex* vmlinux = nullptr;
  const elf::Exports* exports = nullptr;
  TableSizes table_sizes;
  std::set<std::string, std::less<>> provided;  ///< globals that other units of the patch define anew
  std::set<std::string, std::less<>> wanted;    ///< globals that other units refer to
  bool check_identity = true;
  bool partial_symbols = false;    ///< `vmlinux` is not the whole kernel: what it lacks is left to the module loader
  bool carry_new_globals = false;  ///< whether wanted or not: the other units are not known
  /// For tests only: what the livepatch core resolves late is taken for early, so that the module does not work.
  bool ignore_lateness = false;
  /// Definitions of the touched files and of the unit's own source, for the explanations; null: not known.
  const SourceChanges* source = nullptr;
  /// Globals that another unit of the object carries anew, with the reason: their callers here call the new ones.
  std::map<std::string, std::string, std::less<>> anew{};
  const OutsideUses* outside = nullptr;  ///< null: how other units use this one's globals is not known
  /// All globals that the units of the build define; null: the other units are not known.
  const std::set<std::string, std::less<>>* defined_in_build = nullptr;
  const std::set<std::string, std::less<>>* units_in_build = nullptr;  ///< their names; null with the former
  /// Every unit that includes a file that the patch touches is part of the build, or proven not to change.
  bool dependants_covered = false;
  /// Types of a shipped binary by its object's name; null when it has none. May be empty: then they are not known.
  std::function<const elf::TypeTable*(const std::string&)> shipped_types = nullptr;
  /// Whether a function of a shipped binary (the object's name, the function's) is assembly: BTF calls all of these
  /// "void (void)". May be empty: then none is.
  std::function<bool(const std::string&, std::string_view)> is_assembly = nullptr;
  /// The original as the shipped binary was compiled, where that is not how code for a module is; null: it is, or it is
  /// not known.
  const elf::ElfObject* as_shipped = nullptr;
};

struct FunctionReport {
  std::string name;
  std::string change;    ///< changed, new, removed, lifted, bundled
  bool patched = false;  ///< redirected by a klp_func
  uint64_t sympos = 0;
  uint64_t old_size = 0, new_size = 0;
  std::string file;
  unsigned line = 0;
  std::vector<std::string> because;  ///< a whole sentence, then the chain, up to the lines that the patch changes
};

struct DataReport {
  std::string name;
  std::string change;    ///< changed; new: a variable that the kernel does not have; bundled: only its content matters
                         ///< (strings, guards of messages), so that each function that uses it brings its own
  bool carried = false;  ///< the module has it; else the kernel's own stays as it is
  std::string section;
  uint64_t size = 0;
  std::vector<std::string> because;
};

struct IdentityReport {
  size_t matched = 0, different = 0, absent = 0, overridden = 0;
};

struct UnitResult {
  bool changed = false;  ///< the unit's code or data changed; else nothing below but identity is filled
  IdentityReport identity;
  std::vector<FunctionReport> functions;
  std::vector<DataReport> data;
  std::map<std::string, size_t> special_entries;
  std::map<std::string, size_t> tested_keys;  ///< entries of static branches that test their keys at run time instead
  size_t klp_relocations = 0;
  std::vector<std::string> left_out;  ///< changed functions and variables of the source that are behind nothing carried
  std::vector<OutsideCaller> outside;  ///< callers in other units that the plan relies on: they must be carried, too
  PatchObject plan;  ///< usable when findings have no refusal; empty functions and sections: nothing to carry
  Findings findings;
};

/// Compares, decides and plans one unit. Errors only for malformed objects; everything about the patch is a finding.
UnitResult analyse(const UnitInput& input);

/// Names of globals that `patched` defines and the original does not, and names that `patched` leaves undefined: what
/// units of one patch may owe each other.
std::set<std::string, std::less<>> new_globals(const elf::ElfObject& original, const elf::ElfObject& patched);
std::set<std::string, std::less<>> undefined_names(const elf::ElfObject& patched);

}  // namespace klp::diff
