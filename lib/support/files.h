// Files: reading whole, writing beside and renaming, temporary directories, locks, digests.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "support/error.h"

namespace klp {

namespace fs = std::filesystem;

/// The whole file. Throws Error naming the path and the system's reason.
std::string read_file(const fs::path& path);

/// Writes `content` to a new file beside `path`, flushes it and renames it: `path` is either the old or the whole new
/// file. Throws Error (full disk, no permission); nothing is left behind then.
void write_file_atomically(const fs::path& path, std::string_view content, mode_t mode = 0644);

/// SHA-256 of `content` in lower-case hex.
std::string sha256_hex(std::string_view content);

/// SHA-256 of a file's bytes in lower-case hex, read in pieces.
std::string sha256_file(const fs::path& path);

/// A directory that is removed with all it holds at the end of the scope, unless keep() was called. Also removed when
/// the program ends by SIGINT, because interruption travels as an Error (run.h).
class TempDir {
 public:
  /// Makes `parent/prefix.XXXXXX`; `parent` is made when it does not exist.
  TempDir(const fs::path& parent, std::string_view prefix);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const fs::path& path() const { return path_; }
  void keep() { keep_ = true; }

 private:
  fs::path path_;
  bool keep_ = false;
};

/// An exclusive lock between processes (flock on `path`), held for the object's lifetime. Waits; the first wait is
/// logged.
class FileLock {
 public:
  explicit FileLock(const fs::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace klp
