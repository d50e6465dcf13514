// Objects to mutate: compiled from the C files in seeds/ with a kernel's flags, and one unit of the real kernel when it
// is fetched.
#pragma once

#include <string>
#include <vector>

#include "engine_run.h"
#include "kernel/kernel.h"

namespace klp::test {

struct Seed {
  std::string name;
  Bytes original, patched;
};

/// Pairs for the engine: the same source without and with -DPATCHED. DWARF 5, and DWARF 4 for one.
const std::vector<Seed>& object_seeds();

/// Livepatch modules before and after their last step, of three makers; `original` holds them.
const std::vector<Seed>& module_seeds();

/// The fetched kernel $KLP_TEST_KERNEL, or the usual one.
kernel::Kernel test_kernel();

/// fs/proc/meminfo.c of test_kernel(), as its own build compiles it, changed in one string for `patched`.
/// Nothing when the kernel is not fetched.
std::vector<Seed> kernel_seeds();

}  // namespace klp::test
