// What a patch changes in the source, definition by definition, for those who explain the result. Filled from the texts
// of the files; nothing that is decided about a livepatch depends on it.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace klp {

/// A function, macro, type, variable or the like at file scope, as the text of the file shows it.
struct SourceDefinition {
  enum class Kind { function, macro, type, other };
  Kind kind = Kind::other;
  std::string file;                      ///< relative to the kernel's root, "include/net/sock.h"
  std::string name;                      ///< "sk_free", "struct sock", "SYSCALL_DEFINE1(brk)"; empty: without a name
  unsigned old_first = 0, old_last = 0;  ///< lines of the original source, 1-based; 0: not there
  unsigned first = 0, last = 0;          ///< lines of the patched source; 0: not there any more
  /// Its changed lines in the patched source (where lines were taken out: the line behind them), ascending, those that
  /// lie close together as one range; empty: the same tokens before and after.
  std::vector<std::pair<unsigned, unsigned>> changed;
  std::vector<std::pair<std::string, unsigned>> changed_words;  ///< identifiers in the changed lines, and their lines
  std::vector<std::string> words;  ///< identifiers in it, before or after, sorted, each once
};

using SourceChanges = std::vector<SourceDefinition>;

/// "fs/proc/meminfo.c:33-35,40", at most three ranges.
std::string place_of(const SourceDefinition& definition);

}  // namespace klp
