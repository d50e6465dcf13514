// The machines that kernels are built for, in the words of kbuild, Debian and the GNU tools.
#pragma once

#include <cstdint>
#include <string_view>

namespace klp::kernel {

struct Target {
  std::string_view arch;        ///< Kernel::arch
  uint16_t machine = 0;         ///< e_machine of its objects
  std::string_view kbuild;      ///< make's ARCH=
  std::string_view debian;      ///< of packages
  std::string_view triplet;     ///< what the names of its compiler and binutils begin with
  std::string_view code_flags;  ///< what makes code of vmlinux fit into a module; empty: every code does

  /// Its code needs an assembler that completes calls on the way (lib/arch/ppc64/call_nops.h), so that even a compiler
  /// of the host is run by a starter.
  bool completes_calls = false;
  /// Units of modules are compiled with long static branches (arch/x86_64/long_branches.h).
  bool widens_branches = false;
  /// QEMU starts vmlinux itself.
  bool boots_vmlinux = false;
};

/// Whether the machine that we run on is one of these.
bool is_host(const Target& target);

/// The target of an e_machine value; Error for one that livepatches are not made for.
const Target& target_of_machine(uint16_t machine);

/// The target of a name: Kernel::arch, kbuild's, Debian's, or uname's ("ppc64", "powerpc", "ppc64el", "ppc64le").
/// Error for an unknown one, naming the known.
const Target& target_named(std::string_view name);

}  // namespace klp::kernel
