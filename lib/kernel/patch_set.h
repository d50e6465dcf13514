// Reading source patches: which files they touch and how.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/finding.h"

namespace klp::kernel {

/// A changed range of lines, 1-based, as the hunk header says.
struct Hunk {
  unsigned old_start = 0, old_count = 0, new_start = 0, new_count = 0;
  std::vector<std::string> lines;  ///< the hunk's body, each with its leading ' ', '+', '-' or '\'
};

enum class FileChange { modified, added, removed, renamed };

struct TouchedFile {
  std::string path;      ///< in the kernel tree, after stripping one leading component ("fs/proc/meminfo.c")
  std::string old_path;  ///< differs for a rename
  FileChange change = FileChange::modified;
  std::vector<Hunk> hunks;
  std::filesystem::path patch;  ///< the patch file it came from
};

/// Parses unified diffs (git format-patch, git diff, diff -ru), applied in order with -p1. Throws Error for a file that is
/// not a patch (no hunk, malformed hunk header), names file and line.
std::vector<TouchedFile> read_patches(const std::vector<std::filesystem::path>& patches);

/// Refusals that follow from the touched paths alone: build-rules (Makefile, Kbuild, Kconfig, linker scripts, scripts/,
/// tools/ and other generators: no rule from a patch is ever run), asm-source (.S), special-image (vdso, realmode, boot, EFI stub,
/// purgatory). Documentation and the like are left out silently. Paths that leave the tree ("../x", "/x") are an Error.
void check_paths(const std::vector<TouchedFile>& files, Findings& findings);

}  // namespace klp::kernel
