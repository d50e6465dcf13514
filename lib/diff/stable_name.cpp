#include "diff/stable_name.h"

#include <algorithm>
#include <cctype>

namespace klp::diff {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// "__initcall__kmod_x__341_239_f3" without "__341_239" (include/linux/init.h, 5.10-6.12).
std::string without_counters(const std::string& name) {
  const auto digits = [&](size_t at) {
    while (at < name.size() && std::isdigit(static_cast<unsigned char>(name[at])) != 0) ++at;
    return at;
  };
  for (size_t at = name.find("__", 2); at != std::string::npos; at = name.find("__", at + 1)) {
    const size_t first = digits(at + 2);
    if (first == at + 2 || first >= name.size() || name[first] != '_') continue;
    const size_t second = digits(first + 1);
    if (second != first + 1 && second < name.size() && name[second] == '_')
      return name.substr(0, at) + name.substr(second);
  }
  return name;
}

}  // namespace

std::string stable_name(std::string_view symbol) {
  std::string result;
  for (size_t at = 0; at <= symbol.size();) {
    const size_t dot = std::min(symbol.find('.', at), symbol.size());
    const std::string_view part = symbol.substr(at, dot - at);
    if (at == 0 || !is_digits(part)) result += (at == 0 ? "" : ".") + std::string(part);
    at = dot + 1;
  }
  if (result.starts_with("__initcall__kmod_")) return without_counters(result);
  if (result.starts_with("__UNIQUE_ID_") || result.starts_with("__BTF_ID__") || result.starts_with("__key")) {
    while (!result.empty() && std::isdigit(static_cast<unsigned char>(result.back())) != 0) result.pop_back();
  }
  return result;
}

// The rest of a name says only which function or variable it is, or where the linker should gather it.
std::string memory_kind(std::string_view section) {
  for (const std::string_view kind : {".data..percpu", ".data..ro_after_init"}) {
    if (section.starts_with(kind)) return std::string(kind);
  }
  if (section.starts_with(".data.rel.ro")) return ".rodata";
  for (const std::string_view kind : {".text", ".rodata", ".data", ".bss", ".init.text", ".exit.text"}) {
    if (section == kind || section.starts_with(std::string(kind) + ".")) return std::string(kind);
  }
  return std::string(section == ".ref.text" ? ".text" : section == ".init.rodata" ? ".init.data" : section);
}

}  // namespace klp::diff
