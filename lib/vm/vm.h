// A kernel in QEMU: boots it once, takes a queue of livepatch modules, watches its console.
//
// Always TCG. The guest is a machine of the kernel's architecture with its own unmodified image with an initramfs made
// on the fly (busybox and what the caller names). Kernel messages come over the first serial port, commands and their
// output over the second.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"
#include "support/error.h"

namespace klp::vm {

/// The guest did something wrong: it died, hung, or refused. Status 1. The message is the reason, then the console's
/// last lines where the VM is lost.
class GuestFault : public Error {
 public:
  explicit GuestFault(std::string reason, const std::string& console_tail = {})
      : Error(console_tail.empty() ? reason : reason + "; the console's last lines:\n" + console_tail, {},
              ExitStatus::refused),
        reason_(std::move(reason)) {}

  /// The message without the console.
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

struct VmOptions {
  std::filesystem::path directory;  ///< an existing directory for the initramfs and logs, not shared with another VM
  unsigned cpus = 0;                ///< 0: two, or one where two are too slow (vm.cpp)
  unsigned memory_mib = 1024;
  std::string cpu_model;                     ///< a model of QEMU's; empty: the machine's own (machine.h)
  std::string append;                        ///< further kernel parameters
  std::vector<std::filesystem::path> files;  ///< copied into the guest's / (livepatches, test modules, programs)
  std::vector<std::string>
      kernel_modules;  ///< the kernel's own modules that shall be there for modprobe (with what they need)
  std::chrono::seconds boot_limit{300};
  std::chrono::seconds time_limit{0};  ///< of the VM's whole life, boot included; 0: none
};

/// What a guest command printed (stdout and stderr together, at most 8 MiB) and its exit status.
struct GuestResult {
  int status = 0;
  std::string output;
};

/// A running VM. Ends QEMU in the destructor; QEMU also dies with the thread that made the Vm.
class Vm {
 public:
  /// Boots and waits for the guest's shell. Errors: image, file or module missing, QEMU or busybox missing, QEMU does
  /// not start; GuestFault: no shell within the limit (with the console's tail).
  Vm(const kernel::Kernel& kernel, const VmOptions& options);
  ~Vm();
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  /// Runs a shell command in the guest. GuestFault when it does not end within `limit` or within the VM's life, or the
  /// guest dies (with the console's tail); the VM is of no use then.
  GuestResult run(const std::string& command, std::chrono::seconds limit = std::chrono::seconds(180));

  /// Copies a file into the running guest's / (for files that came into being after the boot). 100 KB take about 1 s.
  void copy_in(const std::filesystem::path& file);

  /// Reads `size` bytes of the guest kernel's memory at virtual address `address` through the guest's /proc/kcore: text
  /// and data of vmlinux and of modules, as they are now (patched sites patched). Error when the range is outside the
  /// kernel's address ranges; pages that are not mapped within them read as zeros.
  std::vector<std::byte> read_memory(uint64_t address, uint64_t size);

  /// Kernel messages since the last call (the first call: since the start of the boot). GuestFault like run(); when the
  /// VM is already lost, what is left on the console.
  std::string new_kernel_messages();

  /// The whole console so far.
  const std::string& console() const;

  /// The last lines of the console.
  std::string console_tail(size_t lines = 30) const;

  /// False once the guest died or did not answer; every further run() is a GuestFault then.
  bool alive() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Lines of `kernel_messages` that tell of trouble: oops, BUG, WARNING, Call Trace, "unable to handle", lockups,
/// livepatch errors. Empty when there is none. "module verification failed" and taint lines are no trouble.
std::vector<std::string> trouble_in(const std::string& kernel_messages);

/// A kernel message without the "[   12.345678] " before it.
std::string_view without_time(std::string_view line);

}  // namespace klp::vm
