// Module.symvers: what the kernel and its modules export.
//
// 20,000 lines that each run reads and of which it looks up a few: the table points into the file's text.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace klp::elf {

struct Export {
  uint32_t crc = 0;
  std::string_view module;  ///< "vmlinux", or the module's name as the kernel spells it ('_')
  bool gpl_only = false;
  std::string_view name_space;
};

/// Symbol name to its export. A name that several modules export keeps the first. Copies share the text.
class Exports {
 public:
  using Table = std::unordered_map<std::string_view, Export>;

  Table::const_iterator find(std::string_view name) const { return table_.find(name); }
  Table::const_iterator end() const { return table_.end(); }
  size_t size() const { return table_.size(); }

  /// The export of a name, added when it is not there. The name is copied; the texts of what is assigned to it must
  /// outlive the table.
  Export& operator[](std::string_view name);

 private:
  friend Exports read_symvers(const std::filesystem::path& path);
  Table table_;
  std::shared_ptr<std::deque<std::string>> texts_ = std::make_shared<std::deque<std::string>>();
};

/// Reads Module.symvers (tab-separated: crc, symbol, module path, export type, namespace;
/// scripts/mod/modpost.c, 5.10-7.3). Error naming the line when it is malformed.
Exports read_symvers(const std::filesystem::path& path);

}  // namespace klp::elf
