// The plan: the content of one patch object as plain data, nothing left to decide. emit writes it; --plan prints it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "elf/klp_abi.h"

namespace klp::diff {

/// A page of the largest size there is (ppc64le); what the module loader gives is a page at most.
inline constexpr uint64_t kMaxAlignment = 64 * 1024;

struct PlanRelocation {
  enum class Target { symbol, plain, klp };
  uint64_t offset = 0;
  uint32_t type = 0;
  Target target = Target::symbol;
  size_t symbol = 0;      ///< Target::symbol: index into PatchObject::symbols
  std::string name;       ///< Target::plain
  elf::KlpReference klp;  ///< Target::klp
  int64_t addend = 0;
};

struct PlanSection {
  std::string name;
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t addralign = 1;
  uint64_t entsize = 0;
  std::vector<std::byte> data;
  uint64_t nobits_size = 0;
  std::vector<PlanRelocation> relocations;
};

/// A symbol without name is its section.
struct PlanSymbol {
  std::string name;
  size_t section = 0;
  uint64_t value = 0;  ///< in its section; what lies before belongs to it (NOPs in front of a function)
  uint64_t size = 0;
  uint8_t bind = 0, type = 0;
  uint8_t other = 0;  ///< st_other without the visibility
};

/// One klp_func: the new code `symbol` takes the place of the `sympos`-th `old_name` of the object.
struct PlanFunction {
  std::string old_name;
  uint64_t sympos = 0;
  size_t symbol = 0;
};

/// A function of the module that the livepatch core calls around the patching of the object.
struct PlanCallback {
  elf::CallbackKind kind = elf::CallbackKind::pre_patch;
  size_t symbol = 0;
};

/// A system state that the livepatch declares.
struct PlanState {
  uint64_t id = 0, version = 0;
};

/// A run-time constant in the code of `symbol`: before any function is replaced, the module writes `size` bytes at
/// `offset`, the value that the running kernel's variable has then.
struct PlanConstant {
  size_t symbol = 0;
  uint64_t offset = 0, size = 0;
  PlanRelocation variable;     ///< klp or plain; only its target counts
  uint64_t variable_size = 0;  ///< bytes: 1, 2, 4 or 8
};

/// A table entry that is not carried as it is, because the kernel would read it before its references are resolved.
struct PlanLateEntry {
  std::string function;
  uint64_t offset = 0;    ///< of the site in the function
  std::string table;      ///< "__jump_table"
  std::string key;        ///< what the entry refers to: "__tracepoint_xfs_iunlink"
  std::string treatment;  ///< what was done, and why that is right, in words
};

struct PatchObject {
  std::string unit;    ///< "fs/proc/meminfo.o"
  std::string source;  ///< name for the FILE symbol
  std::string object;  ///< "vmlinux" or the module's name
  uint16_t machine = 0;
  uint32_t flags = 0;  ///< e_flags
  std::vector<PlanSection> sections;
  std::vector<PlanSymbol> symbols;
  std::vector<PlanFunction> functions;
  std::vector<PlanCallback> callbacks;
  std::vector<PlanState> states;
  std::vector<PlanConstant> constants;
  std::vector<PlanLateEntry> late_entries;
  /// Of the klp references to vmlinux, functions that do not return. objtool knows such ones by their names only, so
  /// they keep them on their way through the link.
  std::set<std::string> noreturn;
  std::set<std::string> namespaces;     ///< to be imported
  std::set<std::string> dead_branches;  ///< functions with a jump label that was left out: what it led to never runs
  bool escapes = false;                 ///< live objects keep addresses of the module: it must not be unloaded
};

/// Whether there are references that the livepatch core fills in when a patched module comes; and whether a callback
/// may then refuse that module.
bool has_late_references(const PatchObject& object);
bool may_refuse_module(const PatchObject& object);

/// What `user` refers to by names that `owner` defines: they must go into the same module.
std::set<std::string> shared_names(const PatchObject& user, const PatchObject& owner);

/// Stable text, one line a fact, for --plan, golden tests and reviewers.
std::string dump(const PatchObject& object);

}  // namespace klp::diff
