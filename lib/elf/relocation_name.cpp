// The names are LLVM's, which has them for every machine.
#include "elf/relocation_name.h"

#include <fmt/format.h>
#include <llvm/Object/ELF.h>

namespace klp::elf {

std::string relocation_name(uint16_t machine, uint32_t type) {
  const llvm::StringRef name = llvm::object::getELFRelocationTypeName(machine, type);
  if (name.empty() || name == "Unknown") return fmt::format("type {}", type);
  return name.str();
}

}  // namespace klp::elf
