// A kernel in QEMU: boots it once, takes a queue of livepatch modules, watches its console.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace klp::vm {

struct VmOptions {
  std::filesystem::path directory;      ///< an existing directory for the initramfs, sockets and logs
  unsigned cpus = 2;
  unsigned memory_mib = 1024;
  std::string cpu_model = "max";
  std::string append;                    ///< further kernel parameters
  std::vector<std::filesystem::path> files;  ///< copied into the guest's / (livepatches, test modules, programs)
  std::vector<std::string> kernel_modules;   ///< the kernel's own modules that shall be there for modprobe (with what they need)
  std::chrono::seconds boot_limit{120};
};

/// What a guest command printed (stdout and stderr together) and its exit status.
struct GuestResult {
  int status = 0;
  std::string output;
};

/// A running VM. Ends QEMU in the destructor.
class Vm {
 public:
  /// Boots and waits for the guest's shell. Errors: QEMU missing, no boot within the limit (with the console's tail).
  Vm(const kernel::Kernel& kernel, const VmOptions& options);
  ~Vm();
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  /// Runs a shell command in the guest. Error when it does not end within `limit`, or the guest dies (console's tail).
  GuestResult run(const std::string& command, std::chrono::seconds limit = std::chrono::seconds(60));

  /// Reads `size` bytes of the guest kernel's memory at virtual address `address`.
  std::vector<std::byte> read_memory(uint64_t address, uint64_t size);

  /// Kernel messages (dmesg) since the last call.
  std::string new_kernel_messages();

  /// The whole console so far.
  const std::string& console() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Lines of `kernel_messages` that tell of trouble: oops, BUG, WARNING, Call Trace, "unable to handle", lockups, livepatch
/// errors. Empty when there is none. "module verification failed" and taint lines are no trouble.
std::vector<std::string> trouble_in(const std::string& kernel_messages);

/// One livepatch through its life: commands before, load and wait for the transition, commands, disable, unload, commands.
struct LivepatchCheck {
  std::vector<std::filesystem::path> modules;  ///< loaded in order (paths on the host, copied in by the caller through VmOptions)
  std::vector<std::string> commands;
  std::chrono::seconds transition_limit{60};
};

struct LivepatchCheckResult {
  bool good = true;
  std::string failure;  ///< the reason when not good, in one line
  struct Outputs {
    std::string command;
    std::string before, patched, after;
  };
  std::vector<Outputs> outputs;
  std::string messages;  ///< the kernel's livepatch messages
};

LivepatchCheckResult check_livepatch(Vm& vm, const LivepatchCheck& check);

}  // namespace klp::vm
