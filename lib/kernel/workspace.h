// The workspace: a sparse shadow of the kernel source in which the patch is applied and the touched units are compiled.
//
// Real directories only on the way to patched files, symbolic links elsewhere; the command that kbuild recorded is
// replayed from the shadow's root (docs: design, decision 1). The kernel's own tree is never written.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/index.h"
#include "kernel/kernel.h"
#include "kernel/patch_set.h"
#include "support/files.h"
#include "support/finding.h"

namespace klp::kernel {

struct CompileOptions {
  unsigned jobs = 0;      ///< parallel compilations; 0: all processors
  bool use_cache = true;  ///< originals only
  std::string launcher;   ///< shell words put before the compiler (ccache, distcc); empty: none
};

/// A unit compiled from the original and from the patched source, for one object.
struct CompiledUnit {
  const Unit* unit = nullptr;
  fs::path as_shipped;  ///< the original once more, as the kernel has it; empty: that is what `original` is
  fs::path original;    ///< empty: a unit that only the patched tree has cannot occur (build rules are never run)
  fs::path patched;
  bool line_marks = false;  ///< compiled from the source with #line marks
  bool original_cached = false;
};

class Workspace {
 public:
  /// Needs `directory` to exist and be empty.
  Workspace(const Kernel& kernel, const KernelIndex& index, fs::path directory);
  ~Workspace();
  Workspace(Workspace&&) noexcept;

  /// Applies the patches in order with GNU patch -p1. Fuzz and offsets become notes `patch-fuzz`; a hunk that does not
  /// apply becomes `patch-does-not-apply` showing the rejected hunk. Returns the touched files with hunks as they
  /// really came to lie.
  std::vector<TouchedFile> apply(const std::vector<fs::path>& patches, Findings& findings);

  /// The units whose text the touched files are. Findings: `not-built`, removed files that a unit still needs. Units
  /// that include a touched header are header_reach.h's.
  std::vector<const Unit*> units_to_compile(const std::vector<TouchedFile>& touched, Findings& findings) const;

  /// Compiles the units, original and patched, in parallel. A patched unit that does not compile is `does-not-compile`
  /// with the compiler's first error lines and is left out of the result; an original that does not compile is an Error
  /// (the kernel is not usable as it is).
  std::vector<CompiledUnit> compile(const std::vector<const Unit*>& units, const std::vector<TouchedFile>& touched,
                                    const CompileOptions& options, Findings& findings);

  /// The root of the tree with the patched files as they are.
  const fs::path& patched_tree() const;

  /// Gives the preprocessed text of each unit, original and patched, to `see`, with the unit's position; from several
  /// threads, in any order. Both are empty when one of them cannot be made.
  using SeePreprocessed = std::function<void(size_t, const std::string& original, const std::string& patched)>;
  void preprocess(const std::vector<const Unit*>& units, const CompileOptions& options, const SeePreprocessed& see);

  const KernelIndex& index() const;
  fs::path source_tree() const;  ///< of the kernel, unpatched

  struct State;  ///< shared by the parts of the workspace

 private:
  std::unique_ptr<State> state_;
};

}  // namespace klp::kernel
