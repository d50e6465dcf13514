#include "loader_kernel.h"

#include "elf/btf.h"

namespace klp::tools {

LoaderKernel::LoaderKernel(const kernel::Kernel& kernel)
    : kernel_(kernel),
      vmlinux_(elf::ElfObject::read(kernel.vmlinux, elf::ElfObject::Want::symbols_only)),
      exports_(elf::read_symvers(kernel.symvers)),
      config_(kernel::KernelConfig::read(kernel.config)) {
  verify::TargetKernel::Pieces pieces;
  pieces.vmlinux = &vmlinux_;
  pieces.exports = &exports_;
  pieces.config = [this](const std::string& symbol) { return config_.is_set(symbol); };
  pieces.struct_sizes = elf::struct_sizes(kernel.vmlinux, {"module", "alt_instr"});
  pieces.module = [this](const std::string& name) { return module(name); };
  target_.emplace(std::move(pieces));
}

const elf::ElfObject* LoaderKernel::module(const std::string& name) {
  const auto [found, fresh] = modules_.try_emplace(name);
  if (fresh) {
    if (const auto path = kernel::find_module(kernel_, name))
      found->second = elf::ElfObject::read(*path, elf::ElfObject::Want::allocated);
  }
  return found->second ? &*found->second : nullptr;
}

}  // namespace klp::tools
