#include "arch/x86_64/long_branches.h"

namespace klp::arch {
namespace {

constexpr std::string_view kBlanks = " \t";

/// The text at `at`, behind blanks.
size_t behind_blanks(std::string_view text, size_t at) {
  const size_t result = text.find_first_not_of(kBlanks, at);
  return result == text.npos ? text.size() : result;
}

/// Where the "jmp" is in a line like "1:jmp .L51 # objtool NOPs this" that ends at `end`; npos: it is no such line.
size_t jump_of_site(std::string_view assembly, size_t start, size_t end) {
  const std::string_view line = assembly.substr(0, end);
  size_t at = behind_blanks(line, start);
  if (!line.substr(at).starts_with("1:")) return line.npos;
  at = behind_blanks(line, at + 2);
  const std::string_view rest = line.substr(at);
  return rest.starts_with("jmp ") || rest.starts_with("jmp\t") ? at : line.npos;
}

}  // namespace

std::string with_long_branches(std::string_view assembly) {
  constexpr std::string_view kEntry = ".pushsection __jump_table";
  std::string result;
  size_t copied = 0;
  for (size_t entry = assembly.find(kEntry); entry != assembly.npos; entry = assembly.find(kEntry, entry + 1)) {
    const size_t newline = assembly.rfind('\n', entry);
    if (newline == assembly.npos || newline == 0 || behind_blanks(assembly, newline + 1) != entry) continue;
    const size_t before = assembly.rfind('\n', newline - 1);
    const size_t jump = jump_of_site(assembly, before == assembly.npos ? 0 : before + 1, newline);
    if (jump == assembly.npos) continue;
    result += assembly.substr(copied, jump - copied);
    result += "{disp32} ";
    copied = jump;
  }
  result += assembly.substr(copied);
  return result;
}

}  // namespace klp::arch
