#include "diff/instructions.h"

#include <algorithm>

namespace klp::diff {

std::vector<const elf::Instruction*> without_padding(const std::vector<elf::Instruction>& code) {
  std::vector<const elf::Instruction*> result;
  for (const elf::Instruction& i : code) {
    if (!i.nop) result.push_back(&i);
  }
  return result;
}

int64_t instruction_number(const std::vector<elf::Instruction>& code, uint64_t size, int64_t offset) {
  if (offset < 0 || static_cast<uint64_t>(offset) > size) return -1;
  const auto found = std::lower_bound(code.begin(), code.end(), static_cast<uint64_t>(offset),
                                      [](const elf::Instruction& i, uint64_t value) { return i.offset < value; });
  if (found != code.end()) return found->number;
  return code.empty() ? 0 : code.back().number + (code.back().nop ? 0 : 1);
}

}  // namespace klp::diff
