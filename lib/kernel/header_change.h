// What a patch changed in a header, as names: who names none of them, through whatever chain, is not affected.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kernel/c_items.h"

namespace klp::kernel {

/// A struct or union whose members are the same but for new ones. If these lie where there was padding, nothing but
/// the new names has changed.
struct GrownType {
  std::string tag;
  std::set<std::string> members;  ///< the new ones
};

struct HeaderChange {
  std::set<std::string> names;    ///< of all that was changed, added or removed, macros among them
  std::set<std::string> macros;   ///< those of them that an #if can ask for
  std::set<std::string> removed;  ///< those of them that were inline functions, and are nothing now
  std::vector<GrownType> grown;   ///< their tags and members are not in `names`
  /// Why the names alone say nothing: a changed #include or #pragma, or code at the top level that no name leads to.
  std::string unclear;

  bool empty() const { return names.empty() && grown.empty() && unclear.empty(); }
  void add(const HeaderChange& other);
};

/// Compares the texts of a header. Comments, line ends and the amount of white space are nothing; moved definitions and
/// those whose surrounding #if changed count as changed. An enumerator counts as changed when its value may have, the
/// enum itself only when its type may have.
HeaderChange compare_headers(const std::string& original, const std::string& patched);

/// The same for texts that are split already.
HeaderChange compare_items(std::span<const Item> original, std::span<const Item> patched);

/// Positions of the elements of `a` and of `b` that are not in a longest common subsequence. When the sequences differ
/// in too much, all between the first and the last difference.
struct SequenceDifference {
  std::vector<size_t> only_a, only_b;
};
SequenceDifference compare_sequences(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b);

}  // namespace klp::kernel
