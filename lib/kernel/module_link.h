// Linking a livepatch module with kbuild: patch objects plus lib/runtime.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "elf/symbol_index.h"
#include "kernel/kernel.h"

namespace klp::kernel {

struct ModuleLink {
  std::string name;                                 ///< module name: [a-z0-9_], at most 55 characters
  std::vector<std::filesystem::path> objects;       ///< patch objects, in link order
  bool replace = true;                              ///< klp_patch.replace
  bool constants = false;                           ///< patch objects have run-time constants to be written
  bool late_references = false;                     ///< patch objects refer to modules that they patch
  bool may_refuse_modules = false;                  ///< and have pre_patch callbacks for such modules
  bool kernel_leaves_references = false;            ///< as leaves_references() says
  std::set<std::string> dead_branches;              ///< functions with code that is meant to be out of reach
  bool pinned = false;                              ///< the module stays loaded for good
  std::multimap<std::string, std::string> modinfo;  ///< further .modinfo entries; no newline in them
  std::filesystem::path directory;  ///< an existing directory to work in, without blanks or ':' in its path
};

/// Runs kbuild (make M=) in `directory` and returns the path of the linked NAME.ko, which still has klp relocations as
/// ordinary ones. Same input, same bytes: no path of `directory` enters the module. Errors: make's last lines; any
/// warning or error of modpost (undefined symbols) with its lines; a name or modinfo entry that cannot be.
std::filesystem::path link_module(const Kernel& kernel, const ModuleLink& link);

/// Whether a kernel of which these are the symbols leaves what livepatch wrote for a patched module when that goes, and
/// then refuses its return: x86_64 before 6.3, which has no clear_relocate_add (arch/x86/kernel/module.c), and POWER,
/// from 6.7 on for want of stubs after some returns (arch/powerpc/kernel/module_64.c: stub_for_addr).
bool leaves_references(const elf::SymbolIndex& vmlinux);

/// Where lib/runtime lies: the sources that every module is linked with, and in include/ and include_after/ the headers
/// for patch authors.
std::filesystem::path runtime_directory();

/// The runtime's objects for this kernel, compiled at first use and kept in kernel.cache: begin, code, the writer of
/// run-time constants (made only for a kernel that has such constants), what clears references into patched modules,
/// end. link_module() calls this; calling it early, in parallel with the compilation of units, hides its time.
struct RuntimeObjects {
  std::filesystem::path begin, code, constants, sites, end;
};
RuntimeObjects runtime_objects(const Kernel& kernel);

}  // namespace klp::kernel
