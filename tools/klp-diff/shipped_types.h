// The types that a kernel's binaries were compiled with, from their BTF, read when someone asks.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "elf/types.h"
#include "kernel/kernel.h"

namespace klp::tools {

class ShippedTypes {
 public:
  /// `kernel` must outlive it.
  explicit ShippedTypes(const kernel::Kernel& kernel) : kernel_(kernel) {}

  /// Of "vmlinux" or a module, which has the kernel's as well. Null when there is no BTF, or no such module. The first
  /// call for an object takes about 0.1 s.
  const elf::TypeTable* of(const std::string& object);

 private:
  const kernel::Kernel& kernel_;
  std::map<std::string, std::optional<elf::TypeTable>> tables_;
};

}  // namespace klp::tools
