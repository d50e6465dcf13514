// What `compare` tells beside functions and variables: exported symbols, types, the configuration, the compiler.
#pragma once

#include <mutex>

#include "compare_sides.h"
#include "report/compare_report.h"

namespace klp::tools {

/// Types of vmlinux, or of a single binary, from their BTF, of objects and single modules from their DWARF (modules of
/// a kernel have the kernel's); options that two configurations differ in, those that were probed at the
/// build as well. What hinders a comparison becomes a sentence in `not_compared`.
report::CompareFacts read_facts(const ComparedSide& before, const ComparedSide& after);

/// What the binaries themselves tell while they are compared. Thread-safe.
class BinaryFacts {
 public:
  /// Fills in the exported symbols that differ, and notes another compiler.
  void add(const elf::ElfObject& before, const elf::ElfObject& after, report::ComparedBinary& binary);

  /// The first compiler that differed.
  std::vector<diff::Fact> compiler() const { return compiler_; }

 private:
  std::mutex mutex_;
  std::vector<diff::Fact> compiler_;
};

}  // namespace klp::tools
