// Two builds of a function, instruction by instruction, side by side: for people.
//
// Instructions that are equal in the normal form of image_form.h stand beside each other. The alignment is a shortest
// edit script (E. Myers, An O(ND) Difference Algorithm and Its Variations, 1986).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "diff/image_form.h"
#include "diff/image_noise.h"
#include "elf/source_lines.h"

namespace klp::diff {

/// One build of a binary, looked at. `lines` may be null.
struct CodeSource {
  const ImageForm& form;
  const elf::Disassembler& disassembler;
  const elf::SourceLines* lines = nullptr;
};

struct CodeLine {
  uint64_t offset = 0;  ///< in the function
  std::string text;     ///< AT&T syntax on x86_64; what it refers to by name instead of by address
  std::string file;     ///< empty: not known
  unsigned line = 0;
};

struct CodeRow {
  enum class Kind {
    equal,
    noise,    ///< differs in what means nothing: a per-cpu address, a line number
    changed,  ///< both sides are there, and differ
    removed,  ///< only `before` is there
    added,    ///< only `after` is there
    skipped   ///< stands for `skipped` equal rows; neither is there
  };
  Kind kind = Kind::equal;
  CodeLine before, after;
  size_t skipped = 0;
};

/// A function, or a .cold part of it.
struct CodePart {
  std::string name;                     ///< without the compiler's numbers
  std::string file;                     ///< the FILE symbol of a local one
  uint64_t old_size = 0, new_size = 0;  ///< bytes; 0: not there
  size_t differing = 0;                 ///< rows that differ, shown or not
  size_t cut = 0;                       ///< rows left out at the end
  std::vector<CodeRow> rows;
};

struct ViewLimits {
  size_t context = SIZE_MAX;  ///< equal rows around those that differ
  size_t rows = SIZE_MAX;     ///< of a part
};

class SideBySide {
 public:
  /// Both sources must outlive it, and be of the same machine. Not thread-safe.
  SideBySide(const CodeSource& before, const CodeSource& after);
  ~SideBySide();

  /// A function with its .cold parts, by the symbols of an ImageChange (0: it is not there). Each part is compared with
  /// the one of the same name.
  std::vector<CodePart> parts(size_t old_symbol, size_t new_symbol, const ViewLimits& limits) const;

 private:
  class Directory;
  struct Pair;
  CodePart part(Pair& pair, const ViewLimits& limits) const;
  static void add_rows(const Pair& pair, const ViewLimits& limits, CodePart& result);

  const CodeSource &before_, &after_;
  ImageNoise noise_;
  std::unique_ptr<Directory> old_functions_, new_functions_;
};

/// Source lines that differing instructions come from, as ranges.
struct SourceRanges {
  std::string file;
  std::vector<std::pair<unsigned, unsigned>> lines;  ///< ascending
  size_t instructions = 0;                           ///< that differ and come from this file
};

/// Of both builds those with most instructions first. Of rows on both sides the lines after count, those before only of
/// instructions that are gone.
struct ChangeOrigin {
  std::vector<SourceRanges> after, before;
};
ChangeOrigin origin_of(const std::vector<CodePart>& parts);

}  // namespace klp::diff
