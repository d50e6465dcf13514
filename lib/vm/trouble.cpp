// Tells trouble from noise in kernel messages.
//
// The words are those that the kernel's own reports begin with; a line about a taint, an unsigned module or a clock
// source under emulation is no trouble. Livepatch's errors are pr_err lines of its own; its ordinary messages are a
// short, known list of verbs, so anything of livepatch that says "failed", "not found" and the like counts.
#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string_view>

#include "vm/vm.h"

namespace klp::vm {
namespace {

constexpr std::array<std::string_view, 26> always_trouble = {
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "Oops",
    "Call Trace:",
    "Kernel panic",
    "unable to handle",
    "general protection fault",
    "stack segment:",
    "invalid opcode:",
    "divide error:",
    "int3:",
    "double fault",
    "stack-protector:",
    "soft lockup",
    "hard LOCKUP",
    "blocked for more than",
    "rcu_sched detected stalls",
    "rcu_preempt detected stalls",
    "self-detected stall",
    "Missing ENDBR",
    "CFI failure",
    "UBSAN:",
    "KASAN:",
    "bad page state",
    "refcount_t:",
};

constexpr std::array<std::string_view, 9> livepatch_trouble = {
    "failed", "not found", "unresolvable", "ambigu", "error", "invalid", "refusing", "unable", "unexpected",
};

bool is_letter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Whether one of the words is in the line, not as the end of a longer one ("DEBUG:" is no "BUG:").
bool contains_any(std::string_view line, std::span<const std::string_view> words) {
  for (const std::string_view word : words) {
    for (size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
      if (at == 0 || !is_letter(line[at - 1])) return true;
    }
  }
  return false;
}

/// A patch may be named 'fix_error_path': what stands in quotes says nothing.
std::string without_quoted(std::string_view line) {
  std::string result;
  bool inside = false;
  for (const char c : line) {
    if (c == '\'') inside = !inside;
    if (!inside) result += c;
  }
  return result;
}

bool is_trouble(std::string_view line) {
  if (line.find("module verification failed") != std::string_view::npos) return false;
  if (contains_any(line, always_trouble)) return true;
  return contains_any(line, std::array<std::string_view, 1>{"livepatch:"}) &&
         contains_any(without_quoted(line), livepatch_trouble);
}

}  // namespace

std::string_view without_time(std::string_view line) {
  const size_t end = line.starts_with('[') ? line.find("] ") : std::string_view::npos;
  return end == std::string_view::npos ? line : line.substr(end + 2);
}

std::vector<std::string> trouble_in(const std::string& kernel_messages) {
  std::vector<std::string> result;
  const std::string_view text = kernel_messages;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    if (is_trouble(line)) result.emplace_back(line);
    start = end + 1;
  }
  return result;
}

}  // namespace klp::vm
