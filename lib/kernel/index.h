// The per-kernel index: what is read off the whole source tree and vmlinux once, at fetch, and kept in the cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace klp::kernel {

/// One translation unit of this config. `command` is kbuild's own shell command (compiler, then objtool where kbuild
/// runs it), relative to the root of the source tree, with -ffunction-sections -fdata-sections in it. Sources that end
/// in .S are here too, and what is made from source without being linked: asm-offsets.s, bounds.s, vmlinux.lds.
struct Unit {
  std::string unit;    ///< "fs/proc/meminfo.o"
  std::string source;  ///< "fs/proc/meminfo.c"
  std::string command;
  std::vector<std::string>
      objects;  ///< {"vmlinux"}, or the modules it is linked into ("nf_nat", ...), kernel spelling ('_')
};

/// Immutable once loaded. Paths are relative to the root of the source tree, without "./".
class KernelIndex {
 public:
  /// Loads the index of a kernel (20 ms); makes it first when it is not there (about 20 s, two at once wait for each
  /// other).
  static KernelIndex open(const Kernel& kernel);

  /// An index of units given in memory, for tests of what uses one. `including`: file -> units that include it.
  static KernelIndex from_units(std::vector<Unit> units, std::map<std::string, std::vector<std::string>> including);

  const std::map<std::string, Unit>& units() const { return units_; }

  /// The units whose own source is `file`, or that include it with #include "x.c" (kernel/sched/rt.c is compiled as
  /// part of kernel/sched/build_policy.o). Conditions around the #include are not evaluated. Empty: this config does
  /// not build it.
  std::vector<std::string> units_compiling(const std::string& file) const;

  /// The units that reach `file` (a header, or an included .c) through any chain of #include lines; -include counts.
  /// Conditions are not evaluated, so this may name too many, never too few. Reads a file of some MB at each call.
  std::vector<std::string> units_including(const std::string& file) const;

  /// For each file that any of `units` includes in that sense: which of them do, by their position, ascending.
  std::map<std::string, std::vector<uint32_t>> files_included_by(const std::vector<const Unit*>& units) const;

  /// sizeof a kernel struct in bytes from vmlinux's BTF ("alt_instr", "bug_entry", ...); 0 when there is none.
  uint64_t struct_size(const std::string& name) const;

  /// All struct sizes of the table entries that were found, for the engine.
  const std::map<std::string, uint64_t>& struct_sizes() const { return struct_sizes_; }

 private:
  friend struct IndexFile;
  std::map<std::string, Unit> units_;
  std::map<std::string, std::vector<std::string>> compiling_units_;
  std::map<std::string, uint64_t> struct_sizes_;
  std::map<std::string, std::vector<std::string>> including_units_;  ///< only in an index made in memory
  std::filesystem::path includes_file_;
};

/// The struct sizes alone, without loading 5,000 units with their commands. Makes the index when it is not there.
std::map<std::string, uint64_t> read_struct_sizes(const Kernel& kernel);

/// Makes the index of a prepared kernel in kernel.cache, if it is not there: dry run of kbuild, include scan, BTF.
void make_index(const Kernel& kernel);

}  // namespace klp::kernel
