#include "kernel/target.h"

#include <elf.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>

#include "support/error.h"

namespace klp::kernel {
namespace {

// vmlinux of ppc64le is of the medium model, whose 32-bit distances from r2 end long before a module's memory
// (arch/powerpc/Makefile: -mcmodel=medium, KBUILD_CFLAGS_MODULE += -mcmodel=large, 5.10-6.12). A tail call into the
// kernel would have the stub save the module's r2 in the frame of a caller that knows nothing of it. Anchors would make
// variables of one file refer to each other.
constexpr std::array kTargets = {
    Target{"x86_64", EM_X86_64, "x86", "amd64", "x86_64-linux-gnu-", "", false, true, false},
    Target{"ppc64le", EM_PPC64, "powerpc", "ppc64el", "powerpc64le-linux-gnu-",
           "-mcmodel=large -fno-optimize-sibling-calls -fno-section-anchors", true, false, true}};

constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
    {"x86-64", "x86_64"}, {"ppc64", "ppc64le"}, {"powerpc64le", "ppc64le"}};

}  // namespace

bool is_host(const Target& target) {
  utsname host{};
  return uname(&host) == 0 && target.arch == host.machine;
}

const Target& target_of_machine(uint16_t machine) {
  for (const Target& target : kTargets) {
    if (target.machine == machine) return target;
  }
  throw Error(fmt::format("livepatches are not made for kernels of ELF machine {}", machine),
              "klp-diff knows x86_64 and ppc64le");
}

const Target& target_named(std::string_view name) {
  std::string_view wanted = name;
  for (const auto& [other, arch] : kOtherNames) {
    if (name == other) wanted = arch;
  }
  for (const Target& target : kTargets) {
    if (wanted == target.arch || wanted == target.kbuild || wanted == target.debian) return target;
  }
  throw Error(fmt::format("'{}' is no architecture that livepatches are made for", name),
              "klp-diff knows x86_64 and ppc64le (also as ppc64)", ExitStatus::usage);
}

}  // namespace klp::kernel
