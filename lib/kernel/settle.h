// From a kernel's name to the packages of Debian that it is made from.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernel/apt.h"

namespace klp::kernel {

struct DebianName {
  std::string series;   ///< "6.1"
  std::string flavour;  ///< "cloud-amd64"
  std::string release;  ///< "6.1.0-56-cloud-amd64"; empty: the newest of series and flavour

  /// Debian's name of the flavour's architecture: "amd64", "ppc64el", ...
  std::string architecture() const;
};

/// Errors: not such a name.
DebianName parse_name(const std::string& name);

/// By role: image, debug, source, headers, common; where the image is in parts, also base, binary, modules.
using Packages = std::map<std::string, PackageVersion>;

struct Settled {
  std::string release;
  Packages packages;                 ///< of one version of the source package
  std::vector<std::string> missing;  ///< "linux-image-...-dbg 6.1.192-2": what the package sources do not have
};

/// Settles on release and packages, and goes on to further package lists until all are found. With something missing in
/// all of them, the choice that lacks least is returned. `gone` are releases that are not to be chosen as the newest.
/// Error when there is no image of that name at all: it says which releases there are (old ones leave the archive).
Settled settle(Apt& apt, const DebianName& name, const std::set<std::string>& gone = {});

/// The releases of a series and flavour that the lists know, newest first.
std::vector<std::string> known_releases(const Apt& apt, const DebianName& name);

}  // namespace klp::kernel
