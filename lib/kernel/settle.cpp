// Debian signs its images in a package of their own version (linux-image-X); the unsigned image is as good for us, and
// the only one while the signed one is not yet there.
#include "kernel/settle.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "support/error.h"

namespace klp::kernel {
namespace {

/// The version of `package` that equals `version`, if the lists have it.
std::optional<PackageVersion> find_version(const Apt& apt, const std::string& package, const std::string& version) {
  for (const PackageVersion& candidate : apt.versions(package)) {
    if (candidate.version == version) return candidate;
  }
  return std::nullopt;
}

std::string common_headers(const PackageVersion& headers) {
  static const std::regex common("linux-headers-[^ ,]+-common[^ ,]*");
  std::smatch match;
  return std::regex_search(headers.depends, match, common) ? match.str() : std::string();
}

/// Since 7.2 the image's package is empty: it depends on linux-base-X (config), linux-binary-X and linux-modules-X.
std::vector<std::string> parts_of_image(const PackageVersion& image, const std::string& release) {
  std::vector<std::string> parts;
  for (const char* part : {"base", "binary", "modules"}) {
    if (image.depends.find(fmt::format("linux-{}-{} ", part, release)) != std::string::npos) parts.emplace_back(part);
  }
  return parts;
}

/// All packages of one version of the image.
Settled settle_version(const Apt& apt, const DebianName& name, const std::string& release,
                       const PackageVersion& image) {
  Settled result{release, {{"image", image}}, {}};
  const auto add = [&](const std::string& role, const std::string& package) {
    const auto found = find_version(apt, package, image.version);
    if (found)
      result.packages[role] = *found;
    else
      result.missing.push_back(fmt::format("{} {}", package, image.version));
    return found.has_value();
  };
  for (const std::string& part : parts_of_image(image, release)) add(part, fmt::format("linux-{}-{}", part, release));
  add("debug", fmt::format("linux-image-{}-dbg", release));
  add("source", fmt::format("linux-source-{}", name.series));
  if (add("headers", fmt::format("linux-headers-{}", release))) {
    add("common", common_headers(result.packages["headers"]));
  }
  return result;
}

void keep_better(std::optional<Settled>& best, Settled candidate) {
  if (!best || candidate.missing.size() < best->missing.size()) best = std::move(candidate);
}

/// What the lists have of a release that lacks least.
std::optional<Settled> settle_release(const Apt& apt, const DebianName& name, const std::string& release) {
  std::optional<Settled> best;
  for (const char* suffix : {"", "-unsigned"}) {
    for (const PackageVersion& image : apt.versions(fmt::format("linux-image-{}{}", release, suffix))) {
      keep_better(best, settle_version(apt, name, release, image));
      if (best->missing.empty()) return best;
    }
  }
  return best;
}

[[noreturn]] void fail_unknown(const Apt& apt, const DebianName& name) {
  const bool newest = name.release.empty();
  const std::string what =
      newest ? fmt::format("kernel debian:{}-{}", name.series, name.flavour) : "kernel debian:" + name.release;
  std::string there;
  for (const std::string& release : known_releases(apt, name)) there += "\n  debian:" + release;
  if (!there.empty()) {
    throw Error(fmt::format("{} is not in the package sources (any more); there are:{}", what, there),
                fmt::format("old kernels leave the archive; debian:{}-{} means the newest", name.series, name.flavour));
  }
  throw Error(
      fmt::format("{} is not in the package sources, nor any other {} kernel of that flavour", what, name.series),
      "the suites bookworm, bullseye and their -security are read, and those that --suite names; 5.10 is in "
      "bullseye-security, 6.1 in bookworm, 6.12 in bookworm-security");
}

}  // namespace

std::string DebianName::architecture() const {
  static const std::pair<std::regex, const char*> known[] = {
      {std::regex(".*powerpc64le"), "ppc64el"}, {std::regex(".*arm64(-16k)?"), "arm64"},
      {std::regex(".*s390x"), "s390x"},         {std::regex(".*riscv64"), "riscv64"},
      {std::regex(".*686(-pae)?"), "i386"},     {std::regex(".*armmp(-lpae)?"), "armhf"}};
  for (const auto& [pattern, architecture] : known) {
    if (std::regex_match(flavour, pattern)) return architecture;
  }
  return "amd64";
}

DebianName parse_name(const std::string& name) {
  static const std::regex newest("debian:(\\d+\\.\\d+)-([a-z0-9]+(?:-[a-z0-9]+)*)");
  static const std::regex exact(
      "debian:((\\d+\\.\\d+)\\.\\d+(?:-\\d+|\\+[a-z0-9]+)(?:~?[a-z0-9.+~]*)-([a-z0-9]+(?:-[a-z0-9]+)*))");
  std::smatch match;
  if (std::regex_match(name, match, newest)) return {match[1], match[2], {}};
  if (std::regex_match(name, match, exact)) return {match[2], match[3], match[1]};
  throw Error(
      fmt::format("'{}' is not the name of a kernel that can be fetched", name),
      "names look like debian:6.1.0-56-cloud-amd64, debian:6.1-cloud-amd64 (the newest of 6.1) or debian:6.1-amd64");
}

std::vector<std::string> known_releases(const Apt& apt, const DebianName& name) {
  const std::string prefix = "linux-image-";
  std::vector<std::string> releases;
  for (const std::string& package : apt.names(prefix + name.series + ".")) {
    const std::string release = package.substr(prefix.size());
    const std::string flavour = "-" + name.flavour;
    if (release.size() <= flavour.size() || !release.ends_with(flavour)) continue;
    // "6.1.0-56-cloud-amd64" also ends with "-amd64": what is left must be an ABI name.
    static const std::regex abi("\\d+\\.\\d+\\.\\d+(-\\d+|\\+[a-z0-9.~]+|~[a-z0-9.+]+)+");
    if (!std::regex_match(release.substr(0, release.size() - flavour.size()), abi)) continue;
    // A name alone is also what another package refers to.
    if (!apt.versions(package).empty()) releases.push_back(release);
  }
  std::sort(releases.begin(), releases.end(), [](const auto& a, const auto& b) { return natural_less(b, a); });
  return releases;
}

Settled settle(Apt& apt, const DebianName& name, const std::set<std::string>& gone) {
  std::optional<Settled> best;
  do {
    const std::vector<std::string> releases =
        name.release.empty() ? known_releases(apt, name) : std::vector{name.release};
    for (const std::string& release : releases) {
      if (gone.count(release) != 0) continue;
      std::optional<Settled> found = settle_release(apt, name, release);
      if (found) keep_better(best, std::move(*found));
      if (best && best->missing.empty()) return *best;
    }
  } while (apt.use_more_lists());
  if (!best) fail_unknown(apt, name);
  return *best;
}

}  // namespace klp::kernel
