// The guest's initramfs, made on the fly: busybox, our init, the caller's files, some of the kernel's own modules.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "support/files.h"

namespace klp::vm {

/// Writes a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst): what the
/// kernel unpacks. Same calls, same bytes. Paths are relative; missing parent directories are added.
class CpioWriter {
 public:
  void add_directory(const std::string& path);
  void add_file(const std::string& path, std::string_view content, bool executable = false);
  void add_link(const std::string& path, std::string_view target);
  void add_character_device(const std::string& path, uint32_t major, uint32_t minor);

  /// Whether `path` was added.
  bool has(const std::string& path) const { return paths_.contains(path); }

  /// The archive with its trailer. Once.
  std::string finish();

 private:
  struct Device {
    uint32_t major = 0, minor = 0;
  };
  void add(const std::string& path, uint32_t mode, std::string_view content, Device device);
  void add_parents(const std::string& path);

  std::string archive_;
  std::set<std::string> paths_;
  uint32_t next_inode_ = 1;
};

/// One module of the kernel, as it goes into the initramfs.
struct ShippedModule {
  std::string name;           ///< as the kernel spells it, with '_'
  std::string relative_path;  ///< below lib/modules/RELEASE, without a compression suffix
  std::string content;
  std::vector<std::string> depends;  ///< names: depends= and softdep=pre: of its .modinfo
  std::vector<std::string> aliases;
};

/// The named modules of `modules_directory` (lib/modules/RELEASE, or any directory searched recursively for .ko and
/// .ko.xz) with all they need, each after what it depends on. Dependencies are read from .modinfo, as packages ship no
/// modules.dep. A name in modules.builtin is left out. Errors: a module that is not there, named; a malformed .ko.
std::vector<ShippedModule> module_closure(const fs::path& modules_directory, const std::vector<std::string>& names);

/// modules.dep for these modules, as depmod writes it: "PATH: all it needs, nearest first".
std::string modules_dep(const std::vector<ShippedModule>& modules);

struct InitramfsContent {
  fs::path busybox;                  ///< statically linked
  std::vector<std::string> applets;  ///< become links to busybox in /bin; none: the guest makes them
  std::string channel;               ///< the device over which the guest serves commands
  std::vector<fs::path> files;       ///< into /, executable for all
  std::string release;
  fs::path modules_directory;  ///< may be empty when no modules are named
  std::vector<std::string> modules;
};

/// The whole archive. Errors: files that are missing or have the same name, and those of module_closure.
std::string make_initramfs(const InitramfsContent& content);

/// The values of `key` in the .modinfo section of a .ko ("name", "depends", ...). Error when it is no ELF object.
std::vector<std::string> modinfo_values(const std::string& name, std::string_view ko, std::string_view key);

/// A module's name as the kernel will know it: name= of .modinfo, or else the file's stem with '_' for '-'.
std::string module_name(const fs::path& file);

}  // namespace klp::vm
