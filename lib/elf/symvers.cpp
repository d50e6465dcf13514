#include "elf/symvers.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "support/files.h"

namespace klp::elf {
namespace {

std::string module_name(const std::string& path) {
  std::string name = path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<std::string> split_tabs(const std::string& line) {
  std::vector<std::string> fields(1);
  for (char c : line) {
    if (c == '\t') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

}  // namespace

Exports read_symvers(const std::filesystem::path& path) {
  Exports exports;
  std::istringstream in(read_file(path));
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::vector<std::string> fields = split_tabs(line);
    check(fields.size() >= 4 && fields[0].starts_with("0x"), "{}: line {} is no Module.symvers line: '{}'",
          path.string(), number, line.substr(0, 80));
    Export entry;
    entry.crc = static_cast<uint32_t>(std::strtoul(fields[0].c_str(), nullptr, 16));
    entry.module = module_name(fields[2]);
    entry.gpl_only = fields[3] == "EXPORT_SYMBOL_GPL";
    if (fields.size() > 4) entry.name_space = fields[4];
    exports.emplace(fields[1], std::move(entry));
  }
  check(!exports.empty(), "{}: no symbol in it", path.string());
  return exports;
}

}  // namespace klp::elf
