// The per-kernel index: what is read off the whole source tree and vmlinux once, at fetch, and kept in the cache.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace klp::kernel {

/// One translation unit of this config. `command` is kbuild's own shell command (compiler, then objtool where kbuild runs
/// it), relative to the root of the source tree, with -ffunction-sections -fdata-sections in it.
struct Unit {
  std::string unit;     ///< "fs/proc/meminfo.o"
  std::string source;   ///< "fs/proc/meminfo.c"
  std::string command;
  std::vector<std::string> objects;  ///< {"vmlinux"}, or the modules it is linked into ("nf_nat", ...), kernel spelling ('_')
};

/// Immutable once loaded. Paths are relative to the root of the source tree.
class KernelIndex {
 public:
  /// Loads the index of a kernel; makes it first when it is not there (about 20 s).
  static KernelIndex open(const Kernel& kernel);

  const std::map<std::string, Unit>& units() const { return units_; }

  /// The units whose own source is `file`, or that include it with #include "x.c" (kernel/sched/rt.c is compiled as part of
  /// kernel/sched/build_policy.o). Empty: this config does not build it.
  std::vector<std::string> units_compiling(const std::string& file) const;

  /// The units that reach the header `file` through any chain of #include lines. Conditions are not evaluated, so this may
  /// name too many, never too few.
  std::vector<std::string> units_including(const std::string& file) const;

  /// sizeof a kernel struct in bytes from vmlinux's BTF ("alt_instr", "bug_entry", ...); 0 when there is none.
  uint64_t struct_size(const std::string& name) const;

  /// All struct sizes of the table entries that were found, for the engine.
  const std::map<std::string, uint64_t>& struct_sizes() const { return struct_sizes_; }

 private:
  friend struct IndexFile;
  std::map<std::string, Unit> units_;
  std::map<std::string, std::vector<std::string>> including_units_;
  std::map<std::string, std::vector<std::string>> compiling_units_;
  std::map<std::string, uint64_t> struct_sizes_;
};

}  // namespace klp::kernel
