// The units that a touched header reaches without the patch touching them, and the proofs that they are not affected.
//
// Proof by names: what was changed in the header has names, and nothing that the unit compiles names one of them, in
// any number of steps (name_closure.h). No program is run for it.
// Proof by tokens: the unit preprocessed from the original and from the patched source is the same, but for definitions
// that nothing else in it names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernel/header_change.h"
#include "kernel/index.h"
#include "kernel/name_closure.h"
#include "kernel/patch_set.h"
#include "support/files.h"

namespace klp::kernel {

enum class Proof { none, names, tokens };

struct ReachedUnit {
  const Unit* unit = nullptr;
  std::string header;  ///< the first touched one that it includes
  Proof proof = Proof::none;
  std::string why;     ///< no proof yet: what stands against it
  bool names = false;  ///< its own source names what changed: a proof by tokens is not to be expected
};

/// The source trees that proofs read: paths are relative to each.
struct SourceTrees {
  fs::path original, patched;
};

/// The units that include a touched header whose tokens changed, without those in `compiled`; in the order of their
/// names.
std::vector<ReachedUnit> reached_units(const KernelIndex& index, const SourceTrees& trees,
                                       const std::vector<TouchedFile>& touched,
                                       const std::vector<const Unit*>& compiled);

/// The types of touched headers that got members.
std::vector<GrownType> grown_types(const SourceTrees& trees, const std::vector<TouchedFile>& touched);

/// Whether the new members of a type all lie where the shipped kernel's has padding, with nothing else moved, and the
/// type is too large for the compiler to copy member by member (kSmallestFilled).
using FillsHole = std::function<bool(const GrownType&)>;

/// gcc splits aggregates of at most this size (bytes) into their members, and copies these instead: then code that
/// never names a new member would not copy it. 17 words, MOVE_RATIO of x86 in gcc 12, and half as much again.
constexpr uint64_t kSmallestFilled = 208;

/// What the closure over names starts from.
ChangedNames changed_names(const HeaderChange& change, const FillsHole& fills_hole);

/// Whether inline functions that the patch takes out of a header count as changed. A unit that uses one cannot be
/// compiled from the patched source, and what it does now does not depend on the patch. When the patch takes out none,
/// ignoring them proves nothing.
enum class Removed { count, ignored };

/// Sets `proof` of each unit that can be proven by names, `why` of the others. Reads each file that one of the units
/// includes once (100 MB in a second or two).
void prove_by_names(std::vector<ReachedUnit>& units, const KernelIndex& index, const SourceTrees& trees,
                    const std::vector<TouchedFile>& touched, const FillsHole& fills_hole,
                    Removed removed = Removed::count);

/// Whether two preprocessed texts (without line markers) are the same but for definitions that nothing else names.
/// Otherwise `why` says what differs.
bool same_tokens(const std::string& original, const std::string& patched, const FillsHole& fills_hole,
                 std::string& why);

}  // namespace klp::kernel
