#include "elf/symvers.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "support/files.h"

namespace klp::elf {
namespace {

/// The last part of a path, as the kernel spells module names: changed in place.
std::string_view module_name(char* path, size_t size) {
  const std::string_view whole(path, size);
  const size_t start = whole.rfind('/') == whole.npos ? 0 : whole.rfind('/') + 1;
  std::replace(path + start, path + size, '-', '_');
  return whole.substr(start);
}

struct Fields {
  std::array<std::string_view, 5> at;
  size_t count = 0;
};

Fields split_tabs(std::string_view line) {
  Fields fields;
  for (size_t start = 0; fields.count < fields.at.size();) {
    const size_t tab = std::min(line.find('\t', start), line.size());
    fields.at[fields.count++] = line.substr(start, tab - start);
    if (tab == line.size()) break;
    start = tab + 1;
  }
  return fields;
}

uint32_t to_crc(std::string_view text) {
  uint32_t crc = 0;
  std::from_chars(text.data() + 2, text.data() + text.size(), crc, 16);
  return crc;
}

}  // namespace

Export& Exports::operator[](std::string_view name) {
  const auto found = table_.find(name);
  return found != table_.end() ? found->second : table_[texts_->emplace_back(name)];
}

Exports read_symvers(const std::filesystem::path& path) {
  Exports exports;
  std::string& text = exports.texts_->emplace_back(read_file(path));
  exports.table_.reserve(text.size() / 48);
  int number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line(text.data() + start, end - start);
    ++number;
    const Fields fields = split_tabs(line);
    if (fields.count < 4 || !fields.at[0].starts_with("0x"))
      fail("{}: line {} is no Module.symvers line: '{}'", path.string(), number, line.substr(0, 80));
    Export entry;
    entry.crc = to_crc(fields.at[0]);
    entry.module = module_name(text.data() + (fields.at[2].data() - text.data()), fields.at[2].size());
    entry.gpl_only = fields.at[3] == "EXPORT_SYMBOL_GPL";
    entry.name_space = fields.at[4];
    exports.table_.try_emplace(fields.at[1], entry);
    start = end + 1;
  }
  check(!exports.table_.empty(), "{}: no symbol in it", path.string());
  return exports;
}

}  // namespace klp::elf
