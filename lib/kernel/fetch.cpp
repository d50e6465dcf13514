// Fetching a Debian kernel: settle on the packages, then a row of steps that each leave either nothing or a whole
// directory and a stamp. The headers come first of all: they are small, and hold the config, which says whether the
// kernel can be patched and by which compiler, before the large packages are downloaded.
#include "elf/btf.h"
#include "kernel/apt.h"
#include "kernel/config.h"
#include "kernel/index.h"
#include "kernel/kernel.h"
#include "kernel/prepare.h"
#include "kernel/store.h"
#include "kernel/survey.h"
#include "kernel/target.h"
#include "kernel/toolchain.h"
#include "support/files.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

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

/// Unpacks the compiler's packages into a directory of the cache that all kernels of that compiler share.
void fill_toolchain(Apt& apt, const std::vector<PackageVersion>& packages, const fs::path& directory) {
  make_directories(directory.parent_path());
  const FileLock lock(lock_file(directory));
  if (fs::is_directory(directory / "usr/bin")) return;
  TempDir work(directory.parent_path(), directory.filename().string() + ".partial");
  const fs::path downloads = work.path() / "download", unpacked = work.path() / "unpacked";
  make_directories(downloads);
  for (const PackageVersion& package : packages) {
    const fs::path deb = apt.download(package, downloads);
    try {
      run_checked({"dpkg-deb", "-x", deb.string(), unpacked.string()});
    } catch (const Error& error) {
      rethrow_full_disk(error);
    }
    remove_tree(deb);
  }
  remove_tree(directory);
  fs::rename(unpacked, directory);
}

/// The program to compile with; fetched when neither the host nor the cache has it. Cross compilers are the host's.
std::string provide_compiler(Apt& apt, const Target& target, const Compiler& compiler, const fs::path& chosen_root) {
  if (target.completes_calls) {
    const std::string program = cross_compiler(target, compiler, {});
    check_compiler({program, compiler.text});
    return program;
  }
  std::string program = choose_compiler(compiler, chosen_root);
  const fs::path directory = toolchain_directory(compiler);
  if (chosen_root.empty() && !directory.empty() && program == compiler.program && !host_has_compiler(compiler)) {
    std::vector<PackageVersion> packages;
    do {
      packages = toolchain_packages(apt, compiler);
    } while (packages.empty() && apt.use_more_lists());
    if (!packages.empty()) {
      log("fetch").info("the kernel was built by '{}': fetching it into {}", compiler.text, directory.string());
      fill_toolchain(apt, packages, directory);
      program = choose_compiler(compiler, {});
    }
  }
  check_compiler({program, compiler.text});
  return program;
}

Kernel describe_image(const fs::path& directory, const std::string& release, const Target& target) {
  Kernel kernel;
  kernel.name = "debian:" + release;
  kernel.release = release;
  kernel.arch = target.arch;
  kernel.source = directory / "source";
  kernel.pahole = directory / "pahole";
  kernel.cache = directory / "cache";
  const std::string modules = "usr/lib/modules/" + release;
  kernel.config = first_existing(directory, {"image/boot/config-" + release, "base/" + modules + "/config"}, "config");
  kernel.image = first_existing(directory,
                                {"image/boot/vmlinuz-" + release, "binary/" + modules + "/vmlinuz",
                                 "image/boot/vmlinux-" + release},  // ppc64el's
                                "kernel image");
  kernel.boot_modules =
      first_existing(directory, {"image/lib/modules/" + release, "image/" + modules, "modules/" + modules}, "modules");
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

void build_kernel(Apt& apt, const Packages& packages, const fs::path& directory, const DebianName& name,
                  const FetchOptions& options) {
  const Target& target = target_named(name.architecture());
  remove_leftovers(directory);
  for (const char* part : {"image", "base", "binary", "modules"}) {
    if (packages.count(part) != 0) get_package(apt, packages.at(part), directory, part);
  }
  Kernel kernel = describe_image(directory, name.release, target);
  const KernelConfig config = KernelConfig::read(kernel.config);
  check_supported(config, kernel.name, options.for_comparison);
  kernel.compiler_text = compiler_of(config).text;
  kernel.compiler = provide_compiler(apt, target, compiler_of(config), options.toolchain_root);
  check_build_tools();
  get_package(apt, packages.at("headers"), directory, "headers");
  get_package(apt, packages.at("common"), directory, "common");
  get_package(apt, packages.at("debug"), directory, "debug");
  if (!step_done(directory, "prepared")) get_package(apt, packages.at("source"), directory, "source-package");
  describe_rest(kernel, directory);
  make_tree(kernel, directory);
  make_directories(kernel.cache);
  make_index(kernel);
  save_description(directory, {kernel, tree_fingerprints(kernel.source)});
  remove_tree(directory / "source-package");
  remove_tree(directory / "download");
}

/// Says all that a kernel lacks at once, before anything large is downloaded.
void check_survey(Apt& apt, const DebianName& name, const Settled& settled, const FetchOptions& options) {
  const Survey survey = survey_packages(apt, name, settled, options.toolchain_root.string());
  const bool is_enough = survey.no_livepatches.empty() || options.for_comparison;
  if (survey.lacks.empty() && is_enough) {
    if (!survey.no_livepatches.empty())
      log("fetch").warn("{}: {}; it is fetched for comparisons", survey.name, survey.no_livepatches);
    return;
  }
  std::string text;
  for (const std::string& lack : survey.lacks) text += "\n  " + lack;
  if (!is_enough) text += "\n  " + survey.no_livepatches;
  throw Error(fmt::format("{} cannot be fetched for livepatching:{}", survey.name, text),
              fmt::format("`klp-diff kernel show {}` says what the package sources have of it", survey.name));
}

/// A complete kernel whose compiler was fetched needs it again when that was removed from the cache.
void restore_compiler(Apt& apt, const Kernel& kernel) {
  if (!fs::path(kernel.compiler).has_parent_path() || fs::exists(kernel.compiler)) return;
  const KernelConfig config = KernelConfig::read(kernel.config);
  provide_compiler(apt, target_named(kernel.arch), compiler_of(config), {});
}

/// The packages that an interrupted fetch had settled on, if its image is there: the rest must be of the same version.
Packages packages_to_resume(const fs::path& directory) {
  Packages before = load_packages(directory);
  return before.size() >= 5 && step_done(directory, "image") ? before : Packages();
}

/// Fetches the release that `parsed` names; `settled` is what its packages are, if that is known.
std::string fetch_release(Apt& apt, const DebianName& parsed, std::optional<Settled> settled,
                          const FetchOptions& options) {
  const std::string resolved = "debian:" + parsed.release;
  const fs::path directory = kernel_directory(resolved);
  make_directories(directory.parent_path());
  const FileLock lock(lock_file(directory));
  if (const auto complete = load_description(directory)) {
    restore_compiler(apt, complete->kernel);
    return resolved;
  }
  Packages packages = packages_to_resume(directory);
  if (packages.empty()) {
    if (!settled) settled = settle(apt, parsed);
    check_survey(apt, parsed, *settled, options);
    packages = settled->packages;
  }
  make_directories(directory);
  save_packages(directory, packages);
  log("fetch").info("{}: {} {}", resolved, packages.at("image").package, packages.at("image").version);
  build_kernel(apt, packages, directory, parsed, options);
  return resolved;
}

}  // namespace

std::string fetch_kernel(const std::string& name, const FetchOptions& options) {
  DebianName parsed = parse_name(name);
  Apt apt = apt_for(parsed, options.suites);
  if (!parsed.release.empty()) return fetch_release(apt, parsed, std::nullopt, options);
  for (std::set<std::string> gone;;) {
    const Settled settled = settle(apt, {parsed.series, parsed.flavour, {}}, gone);
    parsed.release = settled.release;
    try {
      return fetch_release(apt, parsed, settled, options);
    } catch (const PackageGone& error) {
      log("fetch").warn("{}; trying the release before it", error.what());
      gone.insert(settled.release);
      remove_kernel("debian:" + settled.release);
    }
  }
}

}  // namespace klp::kernel
