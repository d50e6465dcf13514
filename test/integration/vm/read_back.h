// Read-back: the code that a loaded livepatch has brought into the running kernel, held against the compiled patched
// object.
//
// The plan, the module file and its klp relocations are not looked at: each reference is resolved in the patched
// object, its target is looked for by other means than sympos (names and FILE blocks of the shipped symbol tables,
// kallsyms of the patch module, /sys/module), and the field in memory must lead there.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "diff/tables.h"
#include "elf/elf_object.h"
#include "elf/symbol_index.h"
#include "vm/vm.h"

namespace klp::test {

struct ReadBackUnit {
  const elf::ElfObject* patched = nullptr;    ///< compiled from the patched source
  std::string object;                         ///< "vmlinux" or a loaded module
  const elf::SymbolIndex* shipped = nullptr;  ///< of the object
  std::set<std::string> functions;            ///< carried: changed, new, bundled, with their .cold parts
  std::set<std::string> replaced;             ///< those of them that take an old one's place
};

struct ReadBackResult {
  size_t functions = 0, references = 0, bytes = 0;  ///< compared
  size_t constants = 0;                             ///< compared with the kernel's variables (6.11 and later)
  std::vector<std::string> differences;             ///< in words; empty: memory is as compiled
};

/// Whether code begins with what call-depth tracking puts in front of functions, to count the calls; kCallCountSize
/// bytes. Direct calls then begin there (arch/x86/kernel/callthunks.c, 6.2 and later).
bool counts_call(std::span<const std::byte> code);
inline constexpr size_t kCallCountSize = 9;

/// Compares everything of `units` that `module` has brought. Needs: the module loaded, the VM booted with nokaslr.
/// Errors: a carried function is not in the guest's kallsyms, or its kernel lies elsewhere than the vmlinux file.
ReadBackResult read_back(vm::Vm& vm, const std::string& module, const elf::SymbolIndex& vmlinux,
                         const diff::TableSizes& sizes, const std::vector<ReadBackUnit>& units);

}  // namespace klp::test
