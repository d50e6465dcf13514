// Kernels that are given by paths instead of a name.
#pragma once

#include <optional>
#include <string>

#include "kernel/kernel.h"

namespace klp::kernel {

/// The kernel whose pieces `selection` names; what it does not name comes from `base`. The source is copied into the
/// cache and prepared there, once for each state of the given files; the given tree is only read. Errors: as
/// open_kernel().
Kernel open_by_path(const KernelSelection& selection, const std::optional<Kernel>& base);

/// Throws Error (usage) when `selection` asks for another architecture than the kernel is for.
void check_architecture(const Kernel& kernel, const KernelSelection& selection);

/// Throws Error, with `remedy` as the hint, when kernel.vmlinux is stripped, without debug information, or of another
/// release or build id than the kernel.
void check_vmlinux(const Kernel& kernel, const std::string& remedy);

}  // namespace klp::kernel
