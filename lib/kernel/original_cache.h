// The cache of compiled originals: one object for each unit, valid as long as nothing that made it has changed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernel/index.h"
#include "kernel/kernel.h"
#include "support/files.h"

namespace klp::kernel {

/// Thread-safe, and safe for several processes: objects are named by their content, and a manifest that names one is
/// replaced in one step.
class OriginalCache {
 public:
  /// Lives in kernel.cache/originals. Finds the compiler's programs, whose contents are part of what must not change.
  /// `launcher` is put before the compiler, and counts as one of them.
  /// `compiler`, if not empty, stands in the place of the kernel's, and its objects are kept apart.
  explicit OriginalCache(const Kernel& kernel, const std::string& launcher = {}, const std::string& compiler = {});

  /// The object, if the command, all files that it depended on, the compiler, the assembler and objtool are what they
  /// were.
  std::optional<fs::path> find(const Unit& unit) const;

  /// Keeps `object`, made by unit.command from `dependencies` (relative to the kernel's source). Returns its place in
  /// the cache; when it cannot be kept (full disk), `object` itself, and a warning is logged.
  fs::path store(const Unit& unit, const fs::path& object, const std::vector<std::string>& dependencies) const;

 private:
  std::string command_digest(const Unit& unit) const;
  fs::path manifest_path(const Unit& unit) const;

  fs::path source_;
  fs::path directory_;
  std::vector<fs::path> tools_;
};

}  // namespace klp::kernel
