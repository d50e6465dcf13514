// The machines that QEMU emulates: what differs between them in a guest's start.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/target.h"

namespace klp::vm {

struct Machine {
  std::string program;                 ///< "qemu-system-x86_64"
  std::string package;                 ///< Debian's, that has it
  std::vector<std::string> arguments;  ///< of QEMU
  std::string processor;               ///< the model, if the user names none
  std::string console;                 ///< console= of the kernel: the first serial port
  std::string channel;                 ///< the guest's device of the second one
};

/// The machine for kernels of `target`.
Machine machine_for(const kernel::Target& target);

/// A statically linked busybox for such a guest: the host's for its own architecture, else Debian's, kept in the cache
/// and downloaded at first use. Errors: it is not installed or dynamically linked; no network.
std::filesystem::path guest_busybox(const kernel::Target& target);

}  // namespace klp::vm
