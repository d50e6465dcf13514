// Fetching a Debian kernel: settle on the packages, then a row of steps that each leave either nothing or a whole
// directory and a stamp. The image comes first: it is small, and its config says whether the kernel can be patched and
// by which compiler, before the large packages are downloaded.
#include <algorithm>
#include <regex>

#include "elf/btf.h"
#include "kernel/apt.h"
#include "kernel/config.h"
#include "kernel/index.h"
#include "kernel/kernel.h"
#include "kernel/prepare.h"
#include "kernel/store.h"
#include "support/files.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

using Packages = std::map<std::string, PackageVersion>;

struct DebianName {
  std::string series;   ///< "6.1"
  std::string flavour;  ///< "cloud-amd64"
  std::string release;  ///< "6.1.0-56-cloud-amd64"; empty: the newest of series and flavour
};

DebianName parse_name(const std::string& name) {
  static const std::regex newest("debian:(\\d+\\.\\d+)-([a-z][a-z0-9-]*)");
  static const std::regex exact(
      "debian:((\\d+\\.\\d+)\\.\\d+(?:-\\d+|\\+[a-z0-9]+)(?:~?[a-z0-9.+~]*)-([a-z][a-z0-9-]*))");
  std::smatch match;
  if (std::regex_match(name, match, newest)) return {match[1], match[2], {}};
  if (std::regex_match(name, match, exact)) return {match[2], match[3], match[1]};
  throw Error(
      fmt::format("'{}' is not the name of a kernel that can be fetched", name),
      "names look like debian:6.1.0-56-cloud-amd64, debian:6.1-cloud-amd64 (the newest of 6.1) or debian:6.1-amd64");
}

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

/// All packages of one version of the image; a missing one is named in `missing`.
std::optional<Packages> settle_version(const Apt& apt, const DebianName& name, const PackageVersion& image,
                                       std::string& missing) {
  Packages packages{{"image", image}};
  const auto add = [&](const std::string& role, const std::string& package) {
    const auto found = find_version(apt, package, image.version);
    if (found)
      packages[role] = *found;
    else
      missing += fmt::format("\n  {} {}", package, image.version);
    return found.has_value();
  };
  bool all = add("debug", fmt::format("linux-image-{}-dbg", name.release));
  all = add("source", fmt::format("linux-source-{}", name.series)) && all;
  all = add("headers", fmt::format("linux-headers-{}", name.release)) && all;
  all = all && add("common", common_headers(packages["headers"]));
  return all ? std::optional(packages) : std::nullopt;
}

std::optional<Packages> settle_release(const Apt& apt, const DebianName& name, std::string& missing) {
  for (const char* suffix : {"", "-unsigned"}) {
    const std::string package = fmt::format("linux-image-{}{}", name.release, suffix);
    const auto images = apt.versions(package);
    if (images.empty()) missing += fmt::format("\n  {}", package);
    for (const PackageVersion& image : images) {
      if (const auto packages = settle_version(apt, name, image, missing)) return packages;
    }
  }
  return std::nullopt;
}

/// The releases of a series and flavour that the lists know, newest first.
std::vector<std::string> known_releases(const Apt& apt, const DebianName& name) {
  const std::string prefix = "linux-image-";
  std::vector<std::string> releases;
  for (const std::string& package : apt.names(prefix + name.series + ".")) {
    const std::string release = package.substr(prefix.size());
    const std::string flavour = "-" + name.flavour;
    if (release.size() <= flavour.size() || !release.ends_with(flavour)) continue;
    // "6.1.0-56-cloud-amd64" also ends with "-amd64": what is left must be an ABI name.
    static const std::regex abi("\\d+\\.\\d+\\.\\d+(-\\d+|\\+[a-z0-9.~]+|~[a-z0-9.+]+)+");
    if (std::regex_match(release.substr(0, release.size() - flavour.size()), abi)) releases.push_back(release);
  }
  std::sort(releases.begin(), releases.end(), [](const auto& a, const auto& b) { return natural_less(b, a); });
  return releases;
}

/// Settles on release and packages; reads the private lists when the system's do not have all.
Packages settle(Apt& apt, DebianName& name) {
  const bool newest = name.release.empty();
  std::string missing;
  do {
    missing.clear();
    const std::vector<std::string> releases = newest ? known_releases(apt, name) : std::vector{name.release};
    for (const std::string& release : releases) {
      name.release = release;
      if (const auto packages = settle_release(apt, name, missing)) return *packages;
    }
  } while (apt.use_private_lists());
  const std::string what =
      newest ? fmt::format("kernel debian:{}-{}", name.series, name.flavour) : "kernel debian:" + name.release;
  throw Error(
      fmt::format("{} is not in the package sources{}{}", what, missing.empty() ? "" : "; missing:", missing),
      "old kernels leave the archive: ask for the newest, e.g. debian:6.1-cloud-amd64; the sources need bookworm and "
      "bookworm-security");
}

/// A step that was interrupted by the machine's end leaves its temporary directory.
void remove_leftovers(const fs::path& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().find(".partial.") != std::string::npos) remove_tree(entry.path());
  }
}

[[noreturn]] void rethrow_full_disk(const Error& error) {
  const bool full = tells_full_disk(error.what());
  if (!full || error.status() == ExitStatus::interrupted) throw error;
  throw Error(error.what(),
              "free some space (a kernel needs about 4 GB), or set KLP_DIFF_CACHE to a directory on another disk");
}

/// Downloads and unpacks one package into directory/role.
void get_package(Apt& apt, const PackageVersion& package, const fs::path& directory, const std::string& role) {
  if (step_done(directory, role)) return;
  const fs::path downloads = directory / "download";
  make_directories(downloads);
  const fs::path deb = apt.download(package, downloads);
  const Progress step("unpacking " + package.package);
  TempDir unpacked(directory, role + ".partial");
  try {
    run_checked({"dpkg-deb", "-x", deb.string(), unpacked.path().string()});
  } catch (const Error& error) {
    rethrow_full_disk(error);
  }
  remove_tree(directory / role);
  fs::permissions(unpacked.path(), fs::perms(0755));
  fs::rename(unpacked.path(), directory / role);
  unpacked.keep();
  mark_step(directory, role, fmt::format("{} {} {}", package.package, package.version, package.sha256));
  remove_tree(deb);
}

fs::path first_existing(const fs::path& directory, const std::vector<std::string>& candidates,
                        const std::string& what) {
  for (const std::string& candidate : candidates) {
    if (fs::exists(directory / candidate)) return directory / candidate;
  }
  fail("{}: the package has no {} ({})", directory.string(), what, candidates.front());
}

Kernel describe_image(const fs::path& directory, const std::string& release) {
  Kernel kernel;
  kernel.name = "debian:" + release;
  kernel.release = release;
  kernel.arch = "x86_64";
  kernel.source = directory / "source";
  kernel.pahole = directory / "pahole";
  kernel.cache = directory / "cache";
  kernel.config = first_existing(directory / "image", {"boot/config-" + release}, "config");
  kernel.image = first_existing(directory / "image", {"boot/vmlinuz-" + release}, "kernel image");
  kernel.boot_modules =
      first_existing(directory / "image", {"lib/modules/" + release, "usr/lib/modules/" + release}, "modules");
  const Compiler compiler = compiler_of(KernelConfig::read(kernel.config));
  kernel.compiler = compiler.program;
  kernel.compiler_text = compiler.text;
  return kernel;
}

void describe_rest(Kernel& kernel, const fs::path& directory) {
  const std::string& release = kernel.release;
  kernel.symvers =
      first_existing(directory / "headers", {"usr/src/linux-headers-" + release + "/Module.symvers"}, "Module.symvers");
  const fs::path debug = directory / "debug/usr/lib/debug";
  kernel.modules = first_existing(debug, {"lib/modules/" + release, "usr/lib/modules/" + release}, "modules");
  kernel.vmlinux = first_existing(debug, {"boot/vmlinux-" + release, "vmlinux-" + release}, "vmlinux");
  kernel.vmlinux = fs::canonical(kernel.vmlinux);
  const elf::ImageFacts facts = elf::read_image_facts(kernel.vmlinux);
  kernel.build_id = facts.build_id;
}

fs::path find_tarball(const fs::path& package) {
  for (const auto& entry : fs::directory_iterator(package / "usr/src")) {
    if (entry.path().filename().string().find(".tar.") != std::string::npos) return entry.path();
  }
  fail("{} has no source archive in usr/src", package.string());
}

/// Unpacks and prepares the source in its final place, because kbuild records absolute paths. Without the stamp the
/// tree counts as absent.
void make_tree(const Kernel& kernel, const fs::path& directory) {
  if (step_done(directory, "prepared")) return;
  remove_tree(kernel.source);
  make_directories(kernel.source);
  try {
    {
      const Progress step("unpacking the kernel source");
      run_checked({"tar", "-xf", find_tarball(directory / "source-package").string(), "--strip-components=1", "-C",
                   kernel.source.string()});
    }
    prepare_tree(kernel);
  } catch (const Error& error) {
    std::error_code ignored;
    fs::remove_all(kernel.source, ignored);
    rethrow_full_disk(error);
  }
  mark_step(directory, "prepared", kernel.release);
}

void build_kernel(Apt& apt, const Packages& packages, const fs::path& directory, const std::string& release) {
  remove_leftovers(directory);
  get_package(apt, packages.at("image"), directory, "image");
  Kernel kernel = describe_image(directory, release);
  check_supported(KernelConfig::read(kernel.config), kernel.name);
  check_compiler({kernel.compiler, kernel.compiler_text});
  check_build_tools(kernel.compiler);
  get_package(apt, packages.at("headers"), directory, "headers");
  get_package(apt, packages.at("common"), directory, "common");
  if (!step_done(directory, "prepared")) get_package(apt, packages.at("source"), directory, "source-package");
  get_package(apt, packages.at("debug"), directory, "debug");
  describe_rest(kernel, directory);
  make_tree(kernel, directory);
  make_directories(kernel.cache);
  make_index(kernel);
  save_description(directory, {kernel, tree_fingerprints(kernel.source)});
  remove_tree(directory / "source-package");
  remove_tree(directory / "download");
}

}  // namespace

std::string fetch_kernel(const std::string& name) {
  DebianName parsed = parse_name(name);
  Apt apt(cache_root() / "apt");
  Packages packages;
  if (parsed.release.empty()) packages = settle(apt, parsed);
  const std::string resolved = "debian:" + parsed.release;
  const fs::path directory = kernel_directory(resolved);
  make_directories(directory.parent_path());
  const FileLock lock(lock_file(directory));
  if (load_description(directory)) return resolved;
  const Packages before = load_packages(directory);
  const bool resume = before.size() == 5 && step_done(directory, "image");
  if (resume) packages = before;
  if (packages.empty()) packages = settle(apt, parsed);
  make_directories(directory);
  save_packages(directory, packages);
  log("fetch").info("{}: {} {}", resolved, packages.at("image").package, packages.at("image").version);
  build_kernel(apt, packages, directory, parsed.release);
  return resolved;
}

}  // namespace klp::kernel
