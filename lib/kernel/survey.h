// What is known of a kernel before it is fetched: what would be downloaded, and what speaks against livepatching it.
#pragma once

#include <string>
#include <vector>

#include "kernel/settle.h"

namespace klp::kernel {

struct Survey {
  std::string name;                       ///< "debian:5.10.0-46-cloud-amd64"
  Settled settled;                        ///< its packages
  std::string compiler;                   ///< CONFIG_CC_VERSION_TEXT; empty when the config could not be had
  std::vector<PackageVersion> toolchain;  ///< the packages that the compiler would be fetched with; none: the host's
  std::vector<std::string> lacks;         ///< what is missing of it, one sentence each; none: it can be fetched
  std::string no_livepatches;  ///< why it is only good for comparisons; empty: livepatches can be made for it

  uint64_t download_bytes() const;
};

/// Downloads the kernel's headers package (1 to 10 MB; it holds the config) and nothing else. `chosen_toolchain` is
/// --toolchain-root. Errors: no such kernel (says which there are), no network.
Survey survey_kernel(const std::string& name, const std::vector<std::string>& suites,
                     const std::string& chosen_toolchain);

/// The same, with an Apt at hand and packages settled on.
Survey survey_packages(Apt& apt, const DebianName& name, Settled settled, const std::string& chosen_toolchain);

/// apt for a kernel of that name; reads the suites too when the name is of another architecture than the system.
Apt apt_for(const DebianName& name, const std::vector<std::string>& suites);

}  // namespace klp::kernel
