// A kernel to be patched and its pieces.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace klp::kernel {

namespace fs = std::filesystem;

/// A kernel whose pieces all exist. Paths are absolute.
struct Kernel {
  std::string name;           ///< "debian:6.1.0-56-cloud-amd64", or the release for one given by paths
  std::string release;        ///< what vermagic and uname -r say, e.g. "6.1.0-56-cloud-amd64"
  std::string arch;           ///< "x86_64" or "ppc64le" (target.h)
  std::string compiler;       ///< the program, e.g. "gcc-12", or the path of one that is not the host's (toolchain.h)
  std::string compiler_text;  ///< CONFIG_CC_VERSION_TEXT
  std::string build_id;       ///< of vmlinux, hex

  fs::path source;  ///< prepared source tree (config, Module.symvers, generated files); never written after preparation
  fs::path config;
  fs::path symvers;
  fs::path vmlinux;       ///< with symbols and debug information
  fs::path modules;       ///< directory of the .ko files with symbols (searched recursively)
  fs::path image;         ///< bootable image; empty when the kernel was given by paths without one
  fs::path boot_modules;  ///< directory of the modules as shipped, lib/modules/RELEASE; empty likewise
  fs::path pahole;  ///< the stub to give to every make (PAHOLE=): keeps the config as shipped without installing pahole
  fs::path cache;   ///< where what is derived from this kernel lives: index, compiled originals, runtime objects
};

/// What the user said with -k or by paths. Empty paths mean: from the named kernel.
struct KernelSelection {
  std::string name;  ///< "debian:6.1-cloud-amd64", ...; empty: the running kernel's release
  fs::path source, config, symvers, vmlinux, modules;
  fs::path
      toolchain_root;  ///< --toolchain-root: the compiler is root/usr/bin/NAME; empty: the host's or the fetched one
  std::string arch;    ///< what the kernel must be for (target_named()); empty: whatever it is for
  std::string cross_compile;    ///< what the cross compiler's and its binutils' names begin with, a path or not; empty:
                                ///< as Debian calls them
  bool for_comparison = false;  ///< nothing is to be loaded into it: it need not know livepatches
};

/// $KLP_DIFF_CACHE, or ~/.cache/klp-diff.
fs::path cache_root();

/// The kernel meant by `selection`, with everything checked: all pieces there, vmlinux not stripped,
/// CONFIG_LIVEPATCH=y (unless it is for_comparison), the compiler of CONFIG_CC_VERSION_TEXT installed (else Error
/// "compiler-mismatch: ..." naming the package), the prepared config equal to the distribution's except for probed
/// symbols (else Error "config-mismatch:
/// ..."). A name without ABI number means the newest such kernel already fetched; with none fetched, it is fetched
/// first, as is a named kernel that is not complete. A kernel given by paths is prepared in the cache, in a tree of its
/// own. Errors say what to do.
Kernel open_kernel(const KernelSelection& selection);

/// The make command for the kernel's tree or, with M=, for modules against it: {"env", "-u", ..., "make", "-C", source,
/// "CC=...", ...}; append targets. Variables of the caller's environment that kbuild would heed are taken out. To be
/// run with kbuild_environment() added.
std::vector<std::string> kbuild_command(const Kernel& kernel);
std::map<std::string, std::string> kbuild_environment();

/// The .ko of a module by its name as the kernel knows it ('-' and '_' are equal), if the kernel has it.
std::optional<fs::path> find_module(const Kernel& kernel, const std::string& module);

/// The fetched kernels, oldest first, and whether they are complete (an interrupted fetch is not).
struct FetchedKernel {
  std::string name;
  bool complete = false;
};
std::vector<FetchedKernel> list_kernels();

/// Bytes on disk of a fetched kernel and all that was derived from it; walks its files (a second when they are not
/// cached).
uint64_t kernel_bytes(const std::string& name);

/// Removes a fetched kernel and all that was derived from it. Error when it is not there.
void remove_kernel(const std::string& name);

/// Downloads, unpacks, prepares and indexes a kernel ("debian:6.1.0-56-cloud-amd64", "debian:6.1-cloud-amd64",
/// "debian:6.1-amd64"), and its compiler when that is not the host's; what is already done is kept, so an interrupted
/// fetch resumes. Returns its resolved name. Installs nothing. Errors: no such package (says which there are); what the
/// kernel lacks for livepatching, before anything large is downloaded; no network, disk full, checksum wrong twice.
struct FetchOptions {
  std::vector<std::string> suites;  ///< Debian suites to read beside the known ones, e.g. "trixie-backports"
  fs::path toolchain_root;          ///< as in KernelSelection
  bool for_comparison = true;       ///< a kernel without CONFIG_LIVEPATCH is fetched too, with a warning
};
std::string fetch_kernel(const std::string& name, const FetchOptions& options = {});

/// The fetched and complete kernel of that name, or the newest of a name without ABI number; empty when there is none.
std::string fetched_name(const std::string& name);

}  // namespace klp::kernel
