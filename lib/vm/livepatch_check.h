// One livepatch through its life in a VM: commands before, load and wait for the transition, commands, disable, unload,
// commands.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace klp::vm {

class Vm;

struct LivepatchCheck {
  std::vector<std::filesystem::path>
      modules;  ///< loaded in order (paths on the host, copied in by the caller through VmOptions)
  std::vector<std::string> commands;
  std::vector<std::string>
      modules_before;                      ///< the kernel's own modules to modprobe first (in VmOptions.kernel_modules)
  std::vector<std::string> modules_after;  ///< those to modprobe once the livepatches are there
  std::chrono::seconds transition_limit{60};  ///< of each transition
  std::chrono::seconds command_limit{60};     ///< of each command
  std::function<void(Vm&)>
      while_patched;  ///< called after the commands, with the patches in force; may throw GuestFault
};

struct LivepatchCheckResult {
  bool good = true;
  std::string
      failure;  ///< the reason when not good: one line, then perhaps the kernel's own words or the blocking tasks
  struct Outputs {
    std::string command;
    std::string before, patched, after;
    int before_status = -1, patched_status = -1, after_status = -1;  ///< exit status; -1: was not run
  };
  std::vector<Outputs> outputs;
  std::string messages;      ///< the kernel's livepatch messages
  std::string console_tail;  ///< when not good: the last kernel messages of this check
};

/// Takes the modules through their life. What the guest does wrong is in the result: a load that is refused, a module
/// that is no livepatch, a transition that stalls, a command that does not end, trouble in the kernel's messages,
/// death. After a failure with the VM still alive() everything was unloaded as far as that was possible. A patch that a
/// later one replaced atomically is no failure. Throws only Errors that are no GuestFault (interruption).
LivepatchCheckResult check_livepatch(Vm& vm, const LivepatchCheck& check);

}  // namespace klp::vm
