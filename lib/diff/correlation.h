// Correlation: which piece of the original object is which of the patched one. Made once, final from then on.
//
// A wrong pair of data makes the patched code use another variable, so only what is certain is paired: functions and
// data by name; static locals, whose numbers mean nothing, by their DWARF scope, then by the places that use them. What
// could be one of several stays unpaired and is remembered as ambiguous.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "diff/pieces.h"
#include "elf/debug_info.h"

namespace klp::diff {

struct Pair {
  const Piece* piece = nullptr;
  std::string rule;  ///< "name", "clone name", "static local", "used at the same places", ...
};

class Correlation {
 public:
  /// The patched piece of an original one, or null.
  const Piece* patched_of(const Piece* original) const { return find(to_patched_, original); }
  /// The original piece of a patched one, or null.
  const Piece* original_of(const Piece* patched) const { return find(to_original_, patched); }
  /// Data that may be an old variable, but it cannot be told which.
  bool is_ambiguous(const Piece* patched) const { return ambiguous_.count(patched) != 0; }
  /// The original static local of the same function and name that `patched` was not paired with (its type differs):
  /// taking the patched one as new would reset its value. Null when there is none.
  const Piece* reset_original(const Piece* patched) const { return find(resets_, patched); }

  /// Static locals with a state that have no successor, in no particular order.
  const std::vector<const Piece*>& removed_locals() const { return removed_; }

  size_t size() const { return to_patched_.size(); }

 private:
  friend class Correlator;
  using Map = std::unordered_map<const Piece*, Pair>;
  static const Piece* find(const Map& map, const Piece* piece) {
    const auto found = map.find(piece);
    return found == map.end() ? nullptr : found->second.piece;
  }
  Map to_patched_, to_original_, resets_;
  std::unordered_set<const Piece*> ambiguous_;
  std::vector<const Piece*> removed_;
};

/// `original_debug` and `patched_debug` may be empty; then only use sites tell numbered static locals apart.
Correlation correlate(const Pieces& original, const Pieces& patched, const elf::DebugInfo& original_debug,
                      const elf::DebugInfo& patched_debug);

/// Statics that are copied with the code that uses them and never paired: their content is all that matters, or they
/// only guard a message (__func__, __warned, ...).
bool is_private_static(const Piece& piece);

/// A variable that the compiler named: a static local, or a compound literal or other constant at file scope.
bool is_static_local(const Piece& piece);

/// A static local of constant bytes (the __msg of NL_SET_ERR_MSG): where it cannot be paired its content is all that
/// matters.
bool is_constant_local(const Piece& piece);

}  // namespace klp::diff
