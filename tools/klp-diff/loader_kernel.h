// A kernel as the loader's model (verify/target_kernel.h) wants it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "elf/symvers.h"
#include "kernel/config.h"
#include "kernel/kernel.h"
#include "verify/target_kernel.h"

namespace klp::tools {

class LoaderKernel {
 public:
  /// Reads the symbols of vmlinux; modules are read when they are asked for. `kernel` must outlive it.
  explicit LoaderKernel(const kernel::Kernel& kernel);
  LoaderKernel(const LoaderKernel&) = delete;
  LoaderKernel& operator=(const LoaderKernel&) = delete;

  const verify::TargetKernel& target() const { return *target_; }

 private:
  const elf::ElfObject* module(const std::string& name);

  const kernel::Kernel& kernel_;
  elf::ElfObject vmlinux_;
  elf::Exports exports_;
  kernel::KernelConfig config_;
  std::map<std::string, std::optional<elf::ElfObject>> modules_;
  std::optional<verify::TargetKernel> target_;
};

/// Error when the model says of a finished module that the kernel refuses its first load, or takes it at any time with
/// something wrong in it. Looks at x86_64 only: ppc64's values are not made up yet.
void check_loadable(const kernel::Kernel& kernel, const std::filesystem::path& module);

}  // namespace klp::tools
