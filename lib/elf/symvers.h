// Module.symvers: what the kernel and its modules export.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace klp::elf {

struct Export {
  uint32_t crc = 0;
  std::string module;  ///< "vmlinux", or the module's name as the kernel spells it ('_')
  bool gpl_only = false;
  std::string name_space;
};

/// Symbol name to its export. A name that several modules export keeps the first.
using Exports = std::map<std::string, Export, std::less<>>;

/// Reads Module.symvers (tab-separated: crc, symbol, module path, export type, namespace;
/// scripts/mod/modpost.c, 5.10-7.3). Error naming the line when it is malformed.
Exports read_symvers(const std::filesystem::path& path);

}  // namespace klp::elf
