#include "arch/ppc64/call_nops.h"

#include <algorithm>

namespace klp::arch {
namespace {

std::string_view trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

/// `bl f` with a function's name: no local label, no call that says itself that r2 is kept.
bool calls_function(std::string_view line) {
  if (!line.starts_with("bl\t") && !line.starts_with("bl ")) return false;
  const std::string_view callee = trimmed(line.substr(3));
  const bool local_label = callee.starts_with(".L") || callee.starts_with("$") || callee.starts_with(".+") ||
                           callee.starts_with(".-") || (!callee.empty() && callee[0] >= '0' && callee[0] <= '9');
  return !callee.empty() && !local_label && callee != "_mcount" && callee.find("@notoc") == callee.npos;
}

bool is_nop(std::string_view line) {
  return line == "nop" || line == "ori 0,0,0";
}

}  // namespace

std::string with_call_nops(std::string_view assembly) {
  if (assembly.find("\t.ident\t\"GCC: ") == assembly.npos) return std::string(assembly);
  std::string result;
  result.reserve(assembly.size() + assembly.size() / 64);
  bool inline_assembly = false, open_call = false;
  for (size_t start = 0; start < assembly.size();) {
    const size_t end = std::min(assembly.find('\n', start), assembly.size() - 1) + 1;
    const std::string_view whole = assembly.substr(start, end - start);
    const std::string_view line = trimmed(whole.substr(0, whole.size() - (whole.ends_with('\n') ? 1 : 0)));
    start = end;
    if (open_call && !is_nop(line)) result += "\tnop\n";
    result += whole;
    if (line == "#APP") inline_assembly = true;
    if (line == "#NO_APP") inline_assembly = false;
    open_call = !inline_assembly && calls_function(line);
  }
  if (open_call) result += result.ends_with('\n') ? "\tnop\n" : "\n\tnop\n";
  return result;
}

}  // namespace klp::arch
