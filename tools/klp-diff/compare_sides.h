// The two sides of `klp-diff compare` as the user named them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "diff/image_compare.h"
#include "elf/elf_object.h"
#include "kernel/kernel.h"
#include "support/files.h"

namespace klp::tools {

/// Binaries by the name under which both sides have them: "vmlinux", "xfs.ko", "fs/proc/array.o".
using Binaries = std::map<std::string, fs::path>;

/// A file, a directory, a package, or a fetched kernel.
class ComparedSide {
 public:
  /// Error when there is no such thing, or no binary in it. `symbols`: a System.map, or a copy of /proc/kallsyms, for a
  /// single image or the vmlinux of a directory, which has none of its own; may be empty.
  explicit ComparedSide(const std::string& name, const fs::path& symbols = {});

  const Binaries& binaries() const { return binaries_; }
  bool is_single() const { return single_; }

  /// Where a binary's debug information is: the binary itself, unless a fetched kernel has it apart.
  fs::path debug_file(const std::string& binary) const;

  /// A fetched kernel's source tree; empty otherwise.
  const fs::path& source() const { return source_; }

  /// A fetched kernel's configuration, or the first .config or config-RELEASE of a directory or package; may be empty.
  const fs::path& config() const { return config_; }

 private:
  void add_kernel(const std::string& name);
  void add_symbols(const fs::path& symbols);
  void check_with_hint(const std::string& name) const;

  std::optional<TempDir> unpacked_, with_symbols_;
  Binaries binaries_, debug_files_;
  fs::path source_, config_;
  bool single_ = false;
};

/// Reads what a comparison of code needs, also of a compressed module.
elf::ElfObject read_binary(const fs::path& path);

/// Two files to be compared. Objects that are no modules are compared as `build` compares them.
struct BinaryPair {
  elf::ElfObject before, after;
  bool units = false;  ///< such objects
};
BinaryPair read_pair(const fs::path& before, const fs::path& after);
diff::ImageDifference compare_pair(const BinaryPair& pair, const diff::LineSources& lines);
diff::ImageDifference compare_files(const fs::path& before, const fs::path& after, const diff::LineSources& lines);

bool have_equal_bytes(const fs::path& before, const fs::path& after);

}  // namespace klp::tools
