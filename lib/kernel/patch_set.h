// Reading source patches: which files they touch and how.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
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
  std::string text;             ///< the patch file's own lines about this file, as GNU patch reads them
};

/// Parses unified diffs (git format-patch, git diff, diff -ru), applied in order with -p1. Changes of the file mode
/// alone are left out. Throws Error for a file that is not a patch (no hunk, malformed hunk header, binary patch, path
/// that leaves the tree); names file and line.
std::vector<TouchedFile> read_patches(const std::vector<std::filesystem::path>& patches);

/// The same from one patch's text; `name` is used in messages and as TouchedFile::patch.
std::vector<TouchedFile> parse_patch(const std::string& text, const std::filesystem::path& name);

/// What a path of the kernel tree means for a livepatch.
enum class PathKind {
  source,         ///< C that may be compiled into a unit
  header,         ///< reached through #include only
  ignored,        ///< documentation, samples, self tests: no kernel code
  build_rules,    ///< Makefile, Kconfig, linker scripts, generators and their input
  assembly,       ///< .S
  special_image,  ///< vdso, realmode, boot, EFI stub, purgatory: not part of the running kernel's text
};
PathKind kind_of_path(std::string_view path);

/// Refusals that follow from the touched paths alone: build-rules (Makefile, Kbuild, Kconfig, linker scripts, scripts/,
/// tools/ and other generators: no rule from a patch is ever run), asm-source (.S), special-image (vdso, realmode,
/// boot, EFI stub, purgatory); one for each file. Documentation and the like are left out silently.
void check_paths(const std::vector<TouchedFile>& files, Findings& findings);

}  // namespace klp::kernel
