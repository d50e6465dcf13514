#include "kernel/compiler_warnings.h"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace klp::kernel {
namespace {

/// "fs/x.c:12:3: warning: ..." without its numbers; gcc and clang write both or only the line.
std::string without_numbers(const std::string& line) {
  std::string result;
  for (size_t at = 0; at < line.size();) {
    size_t end = at;
    if (line[at] == ':') {
      end = at + 1;
      while (end < line.size() && std::isdigit(static_cast<unsigned char>(line[end])) != 0) ++end;
    }
    const bool is_number = end > at + 1 && end < line.size() && line[end] == ':';
    if (is_number) {
      at = end;
    } else {
      result += line[at++];
    }
  }
  return result;
}

/// "In function 'f':", or "fs/x.c: In function 'f':", says where the warnings behind it are: "in function 'f'".
std::string function_of(const std::string& line) {
  const size_t at = line.find("In function ");
  if (at == std::string::npos || line.empty() || line.back() != ':') return {};
  return "i" + line.substr(at + 1, line.size() - at - 2);
}

std::vector<std::string> warnings_in(std::string_view output) {
  std::vector<std::string> result;
  std::istringstream lines{std::string(output)};
  std::string function;
  for (std::string line; std::getline(lines, line);) {
    if (const std::string entered = function_of(line); !entered.empty()) function = entered;
    if (line.find("At top level:") != std::string::npos) function.clear();
    const size_t kind = line.find("warning: ");
    if (kind == std::string::npos) continue;
    const bool named = !function.empty() && line.find("objtool: ") == std::string::npos;
    result.push_back(without_numbers(line.substr(0, kind)) + (named ? function + ": " : "") + line.substr(kind));
  }
  return result;
}

}  // namespace

std::vector<std::string> new_warnings(std::string_view patched, std::string_view original) {
  const std::vector<std::string> known = warnings_in(original);
  std::vector<std::string> result;
  for (std::string& warning : warnings_in(patched)) {
    const bool is_new = std::find(known.begin(), known.end(), warning) == known.end() &&
                        std::find(result.begin(), result.end(), warning) == result.end();
    if (is_new) result.push_back(std::move(warning));
  }
  return result;
}

}  // namespace klp::kernel
