// Line numbers in code: whether a constant that changed is only a __LINE__ that moved.
//
// No list of callees decides it, but the code itself. With debug information the old constant is the line of its own
// instruction in the original and the new one that of the patched object. Stripped objects need more signs: the
// constant is set up for one call together with the name of a source file or function (__FILE__, __func__), another
// function shows the same shift (so, or in a table entry that holds a line), and no lines around it show another one.
// What is neither counts as changed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "diff/pieces.h"
#include "elf/line_table.h"

namespace klp::diff {

/// The numbers of two texts that are equal but for the line behind a source file's name, "fs/dcache.c:2930".
struct LinesInText {
  int64_t before = 0, after = 0;
};
std::optional<LinesInText> lines_in_text(std::string_view before, std::string_view after);

/// __LINE__ in the arguments of a macro over several lines is the last of them, the instruction has the first; an
/// inlined function's has its own, and the call's stands around it.
inline constexpr int64_t kLongStatement = 8;
inline constexpr uint64_t kNearCode = 32;  ///< bytes
/// Whether both numbers are as far behind a line of theirs, at most kLongStatement.
bool is_behind(const std::set<int64_t>& lines_before, int64_t before, const std::set<int64_t>& lines_after,
               int64_t after);

class LineNumbers {
 public:
  /// Line tables are read at the first question. Both must outlive it.
  LineNumbers(const Pieces& original, const Pieces& patched) : original_(original), patched_(patched) {}

  /// Whether `before` at `offset_a` of `a` and `after` at `offset_b` of `b` are line numbers. Offsets are those of the
  /// instructions, from the start of the piece.
  bool explain(const Piece& a, uint64_t offset_a, int64_t before, const Piece& b, uint64_t offset_b,
               int64_t after) const;

  /// Takes numbers for lines that are near those of the code around, by is_behind(). That is likely, not proven: for
  /// those who only look at a difference.
  void take_near_lines() { near_ = true; }

  /// For objects without line tables: while `learning`, explain() takes every constant beside a source name and
  /// remembers it; add_line() adds what a table says about a function.
  bool needs_learning() const;
  void set_learning(bool learning) { learning_ = learning; }
  void add_line(const Piece& function, int64_t before, int64_t after) { seen_.push_back({&function, before, after}); }

 private:
  struct Moved {
    const Piece* function = nullptr;  ///< of the original
    int64_t before = 0, after = 0;
  };
  void read_tables() const;
  bool fits_others(const Moved& line) const;
  static std::set<int64_t> lines_around(const elf::LineTable& table, const Piece& piece, uint64_t offset);

  bool learning_ = false;
  bool near_ = false;
  mutable std::vector<Moved> seen_;
  const Pieces& original_;
  const Pieces& patched_;
  mutable std::optional<elf::LineTable> original_lines_, patched_lines_;
};

}  // namespace klp::diff
