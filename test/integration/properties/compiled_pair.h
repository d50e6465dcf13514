// C files of test/integration/properties/pairs: each is compiled twice, without and with -DPATCHED, as kernels are, and
// says in its comments what must come out.
//
//   // compilers: gcc            only this one (default: gcc clang ppc64; what ppc64 leaves out is x86
//                                assembly, and lifting data, for which registers are followed on x86_64 only)
//   // flags: -fcommon           for both versions; patched-flags: for the patched one
//   // stable-numbers: yes       the numbers in names mean something: they are not changed by the tests of
//   transformations
//   // expect: changed f g       exactly these are changed; likewise new, removed, bundled, and data (what is carried)
//   // expect: unchanged         nothing is: no function, no data, no refusal
//   // expect: refused CODE SYMBOL    exactly the refusals so listed; without any, there must be none
//   // or-refused: CODE SYMBOL      this refusal (alone) instead of all that is expected is safe, too
//   // expect: note CODE [SYMBOL]     there is such a finding
//   // expect: string TEXT      the module has this text (no blanks)
//   // expect: klp a b           klp relocations refer to these (among others)
//   // expect: no-klp a b        and to none of these
//   // expect(clang): ...        for one compiler only; what is said of gcc holds for ppc64 (gcc for ppc64le), too,
//                                unless the file says something of that
//
// In kernel_pairs, also what the kernel around the pair is like:
//
//   // object: zram              a module's unit
//   // shipped-flags: -DX        the shipped binary was compiled so (default: it is the original)
//   // kernel-lacks: a b         nobody exports these; all else that is undefined is exported by vmlinux
//   // exported-by: MODULE a b   or by a module
//
// Names are written without the compiler's numbers and, for clang's static locals, without the function's name.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "elf/elf_object.h"
#include "support/files.h"
#include "unit_pair.h"

namespace klp::test {

struct Expectations {
  bool unchanged = false;
  std::map<std::string, std::set<std::string>> sets;  ///< "changed", "new", "removed", "bundled", "data"
  std::set<std::string> refused, or_refused, notes, klp, no_klp, strings;
};

struct PairSource {
  fs::path file;
  std::vector<std::string> compilers, flags, patched_flags;
  std::vector<std::string> shipped_flags;
  std::string object = "vmlinux";
  std::map<std::string, std::string, std::less<>> exported_by;  ///< symbol to module; empty: nobody
  bool stable_numbers = false;
  bool own_expectations_for_ppc64 = false;
  std::map<std::string, Expectations> expected;  ///< by compiler
};

/// Error naming the line for a comment that is not understood.
PairSource read_pair_source(const fs::path& file);

/// All of the directory, by name; those of kernel_pairs need compile_shipped() and Surroundings.
std::vector<PairSource> all_pair_sources(const fs::path& directory = KLP_TEST_PAIRS);

/// Whether the compiler ("gcc", "clang", "ppc64") is installed.
bool has_compiler(const std::string& compiler);

struct CompiledPair {
  elf::ElfObject original, patched;
};

/// Compiles both versions in `work`; Error with the compiler's messages when it fails. `debug`: with DWARF.
CompiledPair compile_pair(const PairSource& source, const std::string& compiler, const fs::path& work, bool debug);

/// The original version by ppc64 as the compiler has it: without the NOPs behind calls that klp-diff adds.
elf::ElfObject compile_without_nops(const PairSource& source, const fs::path& work);

/// The original version with the source's `shipped_flags`.
elf::ElfObject compile_shipped(const PairSource& source, const std::string& compiler, const fs::path& work);

/// What is not as expected, one line each; empty when all is.
std::string mismatches(const Expectations& expected, const diff::UnitResult& result);

}  // namespace klp::test
