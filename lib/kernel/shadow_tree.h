// A sparse shadow of a source tree: real directories only where something differs, symbolic links elsewhere.
#pragma once

#include <set>
#include <string>

#include "support/files.h"

namespace klp::kernel {

/// Paths are relative to the root, normalised ("fs/proc/meminfo.c"). Not thread-safe; the source is never written.
class ShadowTree {
 public:
  /// Makes `root`, which must not exist, with a link for each entry of `source` (absolute).
  ShadowTree(fs::path source, fs::path root);

  const fs::path& root() const { return root_; }

  /// Turns `directory` and those above it into real ones, with a link for each entry. Made empty when the source has
  /// none.
  void make_real_directory(const std::string& directory);

  /// Turns `file` into a copy that may be written, in real directories. When the source has no such file, only the
  /// directories are made.
  void make_real_file(const std::string& file);

  /// Writes `file`, in real directories; the link or copy that was there is replaced.
  void write(const std::string& file, std::string_view content);

  /// Takes `file` out of the shadow.
  void remove(const std::string& file);

  /// Makes real each directory that `path` leaves by "..", as a link there leads back into the source: "fs/proc/../x.h"
  /// makes fs/proc real.
  void make_real_on_the_way(const std::string& path);

  /// Adds links for files that the source got since the directories were made real.
  void refresh();

 private:
  void link_entries(const std::string& directory);

  fs::path source_;
  fs::path root_;
  std::set<std::string> real_directories_;
  std::set<std::string> own_files_;  ///< made, written or removed here: no link for these
};

}  // namespace klp::kernel
