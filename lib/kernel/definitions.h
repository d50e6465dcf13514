// The definitions of a C source as its text shows them, and which of them a patch changes: for explanations only.
//
// Nothing is preprocessed: macros are not expanded, all branches of an #if are read. Code in the kernel's style is cut
// rightly; where a macro hides braces the closing brace in the first column puts it right again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/patch_set.h"
#include "support/source_changes.h"

namespace klp::kernel {

struct Definition {
  SourceDefinition::Kind kind = SourceDefinition::Kind::other;
  std::string name;                ///< as SourceDefinition::name
  unsigned first = 0, last = 0;    ///< lines, 1-based, without the comment before it
  std::vector<std::string> words;  ///< identifiers, sorted, each once
  std::string tokens;              ///< without blanks and comments: equal for equal code
};

/// In the order of the text. #define counts as a definition, other directives do not.
std::vector<Definition> definitions(std::string_view text);

/// The definitions of a file before and after a patch, paired by kind and name (the n-th with the n-th), in the order
/// of the patched text, those that are gone at the end. `hunks` as they really lie in it; empty texts for a file that
/// is new or gone. Without hunks nothing is changed.
SourceChanges changed_definitions(const std::string& file, std::string_view original, std::string_view patched,
                                  const std::vector<Hunk>& hunks);

/// The same for all touched files, of which `original` and `patched` are the trees.
SourceChanges changed_definitions(const std::filesystem::path& original, const std::filesystem::path& patched,
                                  const std::vector<TouchedFile>& touched);

/// `changes` with the definitions of `file` of the tree `original`, unless they are in it already. A file that cannot
/// be read adds nothing.
SourceChanges with_definitions_of(const std::string& file, const std::filesystem::path& original,
                                  SourceChanges changes);

}  // namespace klp::kernel
