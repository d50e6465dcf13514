// Many livepatches, each through its life on its own: one guest for all, a new one only after a failure.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/kernel.h"
#include "vm/livepatch_check.h"
#include "vm/vm.h"

namespace klp::vm {

/// The kernel's own modules that a livepatch patches, by name, sorted; "vmlinux" is none. `livepatch` is a finished
/// .ko. Errors: no livepatch module (elf/livepatch_content.h).
std::vector<std::string> patched_modules(const std::filesystem::path& livepatch);

/// What became of one livepatch of the queue.
struct QueueResult {
  std::filesystem::path livepatch;
  std::vector<std::string> loaded;                        ///< modules it patches that were there when it was loaded
  std::vector<std::pair<std::string, std::string>> late;  ///< those that could not be: name, reason in one line
  LivepatchCheckResult check;                             ///< good: loaded, transition over, disabled, unloaded
};

struct QueueOptions {
  VmOptions vm;                     ///< `files` and `kernel_modules` are added to; time_limit is of each boot of the VM
  std::chrono::seconds limit{120};  ///< of each transition and command
};

/// Takes `livepatches` through their lives one after the other, in order. The modules that one patches are loaded
/// before it where the kernel can load them (a driver may refuse without its device): such a part of the livepatch is
/// applied and watched, the others stay "late". A failure is in its result and the guest is booted again for the rest;
/// a guest that does not boot is a GuestFault. `on_result` is called as each is done. Errors: files missing, two of the
/// same name, no livepatch.
void run_livepatch_queue(const kernel::Kernel& kernel, const std::vector<std::filesystem::path>& livepatches,
                         const QueueOptions& options, const std::function<void(const QueueResult&)>& on_result);

/// Text made into one line without tabs, for lists that are read line by line.
std::string one_line(std::string_view text);

}  // namespace klp::vm
