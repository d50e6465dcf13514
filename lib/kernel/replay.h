// Replaying the command that kbuild recorded for a unit, with its outputs somewhere else; and reading what it depended
// on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernel/index.h"
#include "kernel/kernel.h"
#include "support/files.h"

namespace klp::kernel {

/// What a replayed command makes: its object, or the preprocessed text of its source, without line markers.
enum class ReplayOutput { object, preprocessed };

/// The shell script that compiles `unit` from the tree at `root` (its working directory) into `object`, the
/// dependencies into `depfile`. It stops at the first failing program and removes an old object first. Programs of the
/// tree (objtool) are taken from `source`, the kernel's own tree. `options` come before all of the command's own;
/// `compiler`, shell words, stands in the place of the recorded one (empty: as recorded). Error when the command names
/// no output.
std::string replay_script(const Unit& unit, const fs::path& root, const fs::path& source, const fs::path& object,
                          const fs::path& depfile, const std::vector<std::string>& options = {},
                          ReplayOutput output = ReplayOutput::object, const std::string& compiler = {});

struct ReplayResult {
  bool good = false;
  std::string output;                     ///< the programs' messages
  std::vector<std::string> dependencies;  ///< as the compiler spells them, relative to the root; when good
};

/// Runs replay_script(). The object is there exactly when `good`. Errors: no shell, interruption.
ReplayResult replay(const Unit& unit, const fs::path& root, const fs::path& source, const fs::path& object,
                    const std::vector<std::string>& options = {}, ReplayOutput output = ReplayOutput::object,
                    const std::string& compiler = {});

/// The words to compile with: the launcher's (ccache; may be empty), then the compiler.
std::string compiler_words(const std::string& launcher, const std::string& compiler);

/// The prerequisites in a dependency file that the compiler wrote.
std::vector<std::string> parse_dependencies(const std::string& text);

/// The part of a compiler's output that says what is wrong: the first errors with their source lines, at most `limit`
/// lines.
std::string first_errors(const std::string& output, size_t limit = 12);

}  // namespace klp::kernel
