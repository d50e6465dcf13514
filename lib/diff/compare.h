// Comparison: what changed between paired pieces, in the normal form of functions.
//
// Normal form: the function's instructions without padding NOPs, direct branches as condition + target, every relocated
// field as what it refers to (paired piece + offset, symbol + offset, string, constant's bytes), and the table entries
// it owns. Places inside a function count as instruction numbers, so that a branch that became longer is no difference.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "diff/correlation.h"
#include "diff/instructions.h"
#include "diff/line_only.h"
#include "diff/tables.h"

namespace klp::diff {

struct Fragment;

class Comparison {
 public:
  Comparison(const Pieces& original, const Pieces& patched, const Correlation& correlation,
             const Tables& original_tables, const Tables& patched_tables);

  /// Why two functions differ, e.g. "code differs at +0x1c"; nothing when they are equal. Their .cold parts are not
  /// looked at. `only_lines`, if given, is set when they are equal but for line numbers in the code.
  std::optional<std::string> difference(const Piece& original, const Piece& patched, bool* only_lines = nullptr) const;

  /// Needed once before difference() where the objects have no line tables: what other functions tell about lines.
  void learn_lines();

  /// See LineNumbers.
  void take_near_lines() { lines_.take_near_lines(); }

  struct DataDifference {
    std::string text;
    std::optional<uint64_t> at;  ///< offset in the variable, where it is one place
  };
  /// The same for data: size, bytes, references.
  std::optional<DataDifference> data_difference(const Piece& original, const Piece& patched) const;

 private:
  bool same_reference(const Reference& a, const Reference& b, int depth) const;
  bool same_content(const Piece& a, const Piece& b, int depth) const;
  std::optional<DataDifference> bytes_difference(const Piece& a, uint64_t a_start, const Piece& b, uint64_t b_start,
                                                 uint64_t size, int depth) const;
  void learn_table_lines(const Piece& a, const Piece& b);

  struct CodePair {
    const Piece& a;
    const Piece& b;
    bool only_lines = false;  ///< set when a constant was taken for a line number
  };
  std::optional<std::string> code_difference(CodePair& pair) const;
  std::optional<std::string> instruction_difference(CodePair& pair, const elf::Instruction& x,
                                                    const elf::Instruction& y) const;
  bool is_line_in_text(CodePair& pair, uint64_t offset_a, const Reference& a, uint64_t offset_b,
                       const Reference& b) const;
  bool same_branch(const CodePair& pair, const elf::Instruction& x, const elf::Instruction& y) const;
  bool same_bytes(CodePair& pair, const elf::Instruction& x, const elf::Instruction& y) const;
  std::optional<std::string> table_difference(const Piece& a, const Piece& b) const;
  bool same_entry(const TableEntry& a, const TableEntry& b, const Piece& function_a, const Piece& function_b) const;
  bool same_fragment(const Fragment& a, const Fragment& b) const;

  const Pieces& original_;
  const Pieces& patched_;
  const Correlation& correlation_;
  const Tables& original_tables_;
  const Tables& patched_tables_;
  LineNumbers lines_;
  /// Pieces whose contents are equal, or are being compared; in the order in which they were added.
  mutable std::set<std::pair<const Piece*, const Piece*>> assumed_;
  mutable std::vector<std::pair<const Piece*, const Piece*>> assumed_order_;
};

/// The number of the first instruction at or behind `offset`, padding NOPs not counted; -1 when `offset` is outside the
/// function.
int64_t instruction_number(const Pieces& pieces, const Piece& function, int64_t offset);

struct FunctionChange {
  enum class Kind { changed, added };
  Kind kind = Kind::changed;
  const Piece* original = nullptr;
  const Piece* patched = nullptr;
  std::string reason;
};

struct DataChange {
  const Piece* original = nullptr;
  const Piece* patched = nullptr;
  std::string reason;
  std::optional<uint64_t> at;  ///< offset of the difference in the variable, where it is one place
};

struct ChangeSet {
  std::vector<FunctionChange>
      functions;  ///< changed and new ones, leaders only (a .cold part counts as its parent), by patched order
  std::vector<DataChange> data;                 ///< paired data whose content or size changed
  std::vector<const Piece*> removed_functions;  ///< of the original
  std::vector<const Piece*> only_lines;         ///< leaders of the patched object that differ in line numbers only
  /// Leaders of the patched object that differ only in the part of the text that they lie in, and where they were
  /// moved.
  std::vector<std::pair<const Piece*, std::string>> moved;
  bool empty() const { return functions.empty() && data.empty(); }
};

ChangeSet compare(const Pieces& original, const Pieces& patched, const Correlation& correlation,
                  const Comparison& comparison, const Tables& patched_tables);

}  // namespace klp::diff
