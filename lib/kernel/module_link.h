// Linking a livepatch module with kbuild: patch objects plus lib/runtime.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace klp::kernel {

struct ModuleLink {
  std::string name;                                ///< module name: [a-z0-9_], at most 55 characters
  std::vector<std::filesystem::path> objects;      ///< patch objects, in link order
  bool replace = true;                             ///< klp_patch.replace
  std::map<std::string, std::string> modinfo;      ///< further .modinfo entries
  std::filesystem::path directory;                 ///< an existing directory to work in
};

/// Runs kbuild (make M=) in `directory` and returns the path of the linked NAME.ko, which still has klp relocations as
/// ordinary ones. Same input, same bytes: no path of `directory` enters the module. Errors: make's last lines.
std::filesystem::path link_module(const Kernel& kernel, const ModuleLink& link);

}  // namespace klp::kernel
