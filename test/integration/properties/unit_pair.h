// Two objects of one unit, held in memory with everything that the engine wants to know beside them.
//
// The original object itself stands for the shipped binary, and all that it leaves undefined counts as exported by
// vmlinux: so what is tested is the comparison, not the kernel around it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "diff/engine.h"

namespace klp::test {

/// The entry sizes of Linux 6.1's tables.
diff::TableSizes table_sizes_of_6_1();

/// The kernel around a pair, where it is not the ordinary one.
struct Surroundings {
  const elf::ElfObject* shipped = nullptr;                      ///< null: the original
  std::string object = "vmlinux";                               ///< a module's name: `shipped` is that module
  std::map<std::string, std::string, std::less<>> exported_by;  ///< by vmlinux else; empty: by nobody
};

/// Analyses one pair in the kernel that is described.
diff::UnitResult analyse_pair(const elf::ElfObject& original, const elf::ElfObject& patched,
                              const Surroundings& around);

/// Analyses one pair; `shipped` false leaves the identity out (nothing to hold the original against).
diff::UnitResult analyse_pair(const elf::ElfObject& original, const elf::ElfObject& patched, bool shipped = true);

/// A name without the numbers that the compiler appends (`n.12`, `f.isra.0`, `__UNIQUE_ID_x12`).
std::string plain_name(std::string_view name);

/// Without clang's `function.` in front of a static local, too.
std::string plain_data_name(std::string_view name);

/// The names of functions with this change (`changed`, `new`, `removed`, `bundled`), plain; parts (.cold) left out.
std::set<std::string> functions_of(const diff::UnitResult& result, std::string_view change);

/// Plain names of the data that is carried or changed.
std::set<std::string> data_of(const diff::UnitResult& result);

/// Refusals as "code symbol", plain.
std::set<std::string> refusals_of(const diff::UnitResult& result);

/// Names of the symbols that klp relocations of the plan refer to, plain.
std::set<std::string> klp_names(const diff::UnitResult& result);

/// What must not depend on order, numbers and debug information, as one text for comparing and for messages.
std::string essence(const diff::UnitResult& result);

/// Everything for a message.
std::string describe(const diff::UnitResult& result);

}  // namespace klp::test
