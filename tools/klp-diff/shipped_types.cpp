#include "shipped_types.h"

#include "kernel/module_link.h"
#include "support/error.h"
#include "support/log.h"

namespace klp::tools {

const elf::TypeTable* ShippedTypes::of(const std::string& object) {
  const auto [slot, fresh] = tables_.try_emplace(object);
  std::optional<elf::TypeTable>& table = slot->second;
  if (!fresh) return table ? &*table : nullptr;
  try {
    if (object == "vmlinux") {
      table = elf::TypeTable::from_btf(kernel_.vmlinux);
    } else if (const auto module = kernel::find_module(kernel_, object)) {
      table = elf::TypeTable::from_btf(*module, kernel_.vmlinux);
    }
  } catch (const Error& error) {
    log("types").info("{}", error.what());
  }
  return table ? &*table : nullptr;
}

}  // namespace klp::tools
