// modules_prepare, run with the very flags that units are compiled with later, leaves a tree in which a recorded
// command can be replayed. pahole is stood in for by a script that answers with the version in the config: without it
// olddefconfig would drop CONFIG_DEBUG_INFO_BTF_MODULES, which changes struct module.
#include "kernel/prepare.h"

#include <unistd.h>

#include <thread>

#include "kernel/config.h"
#include "kernel/store.h"
#include "kernel/target.h"
#include "kernel/toolchain.h"
#include "support/files.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr const char* kSectionFlags = "-ffunction-sections -fdata-sections";

/// CONFIG_PAHOLE_VERSION=124 means v1.24; 0 means there was none.
std::string pahole_stub(const std::string& version) {
  std::string answer = "0";
  if (version.size() >= 3)
    answer = fmt::format("v{}.{}", version.substr(0, version.size() - 2), version.substr(version.size() - 2));
  return fmt::format(
      "#!/bin/sh\n"
      "# Stands in for the pahole that built this kernel: it answers kconfig with its version, and makes no BTF.\n"
      "if [ \"$1\" = --version ]; then echo {}; exit 0; fi\n"
      "echo 'this pahole only knows --version' >&2\nexit 1\n",
      answer);
}

void write_pahole_stub(const Kernel& kernel) {
  write_file_atomically(kernel.pahole, pahole_stub(KernelConfig::read(kernel.config).value("PAHOLE_VERSION")));
  std::error_code error;
  fs::permissions(kernel.pahole, fs::perms(0755), error);
  check(!error, "cannot make {} executable: {}", kernel.pahole.string(), error.message());
}

std::string makefile_value(const std::string& makefile, const std::string& name) {
  const std::string start = name + " = ";
  size_t at = makefile.rfind(start, 0) == 0 ? 0 : makefile.find("\n" + start);
  if (at == makefile.npos) return {};
  if (at != 0) ++at;
  at += start.size();
  return makefile.substr(at, makefile.find('\n', at) - at);
}

/// The release's first two numbers must be the tree's.
void check_tree_version(const Kernel& kernel) {
  const std::string makefile = read_file(kernel.source / "Makefile");
  const std::string version = makefile_value(makefile, "VERSION") + "." + makefile_value(makefile, "PATCHLEVEL");
  const bool same = kernel.release.rfind(version, 0) == 0 && version.size() >= 3 &&
                    (kernel.release.size() == version.size() || std::isdigit(kernel.release[version.size()]) == 0);
  if (same) return;
  throw Error(fmt::format("the source tree is Linux {}, but the kernel's release is {}", version, kernel.release),
              "give the source that this kernel was built from (--source)");
}

void run_make(const Kernel& kernel, const std::vector<std::string>& targets) {
  std::vector<std::string> line = kbuild_command(kernel);
  line.push_back(fmt::format("-j{}", std::max(1u, std::thread::hardware_concurrency())));
  line.insert(line.end(), targets.begin(), targets.end());
  try {
    run_checked(line);
  } catch (Error& error) {
    if (error.status() == ExitStatus::interrupted) throw;
    const std::string text = error.what();
    throw Error("preparing the kernel source: " + text,
                tells_full_disk(text)
                    ? "free some space, or set KLP_DIFF_CACHE to a directory on another disk"
                    : "what kbuild needs on Debian: apt-get install make gcc flex bison bc libelf-dev libssl-dev");
  }
}

void copy_into_tree(const fs::path& from, const fs::path& to) {
  write_file_atomically(to, read_file(from));
}

constexpr const char* kPackageHeader = "include/generated/package.h";

/// What Debian's Makefile writes LINUX_PACKAGE_ID from, which stack dumps print: " Debian 6.1.192-2". The headers
/// beside Module.symvers say what it was; other distributions have no such header.
std::vector<std::string> package_variables(const Kernel& kernel) {
  const fs::path shipped = kernel.symvers.parent_path() / kPackageHeader;
  std::error_code error;
  if (!fs::is_regular_file(shipped, error)) return {};
  const std::string text = read_file(shipped);
  const size_t start = text.find("\" ");
  const size_t space = start == text.npos ? text.npos : text.find(' ', start + 2);
  const size_t end = space == text.npos ? text.npos : text.find('"', space);
  if (end == text.npos) return {};
  return {"DISTRIBUTION_OFFICIAL_BUILD=1", "DISTRIBUTOR=" + text.substr(start + 2, space - start - 2),
          "DISTRIBUTION_VERSION=" + text.substr(space + 1, end - space - 1)};
}

}  // namespace

std::vector<std::string> kbuild_command(const Kernel& kernel) {
  std::vector<std::string> command = {"env"};
  for (const char* name : {"MAKEFLAGS",
                           "MFLAGS",
                           "GNUMAKEFLAGS",
                           "ARCH",
                           "SUBARCH",
                           "CROSS_COMPILE",
                           "O",
                           "M",
                           "KBUILD_OUTPUT",
                           "KBUILD_EXTMOD",
                           "KBUILD_EXTRA_SYMBOLS",
                           "KCFLAGS",
                           "KAFLAGS",
                           "KCPPFLAGS",
                           "CFLAGS_KERNEL",
                           "CFLAGS_MODULE",
                           "AFLAGS_KERNEL",
                           "AFLAGS_MODULE",
                           "HOSTCFLAGS",
                           "HOSTLDFLAGS",
                           "LOCALVERSION",
                           "KCONFIG_CONFIG",
                           "KCONFIG_ALLCONFIG",
                           "KCONFIG_OVERWRITECONFIG",
                           "KBUILD_VERBOSE",
                           "V",
                           "C",
                           "W",
                           "LLVM",
                           "LLVM_IAS",
                           "C_INCLUDE_PATH",
                           "CPATH",
                           "GCC_COLORS",
                           "LD_PRELOAD"}) {
    command.insert(command.end(), {"-u", name});
  }
  const Target& target = target_named(kernel.arch);
  std::string flags = kSectionFlags;
  if (!target.code_flags.empty()) flags.append(" ").append(target.code_flags);
  command.insert(command.end(),
                 {"make", "-C", kernel.source.string(), "--no-print-directory", fmt::format("ARCH={}", target.kbuild),
                  "CC=" + kernel.compiler, "KERNELRELEASE=" + kernel.release, "PAHOLE=" + kernel.pahole.string(),
                  "KCFLAGS=" + flags});
  const std::vector<std::string> binutils = toolchain_variables(kernel.compiler, target);
  command.insert(command.end(), binutils.begin(), binutils.end());
  const std::vector<std::string> package = package_variables(kernel);
  command.insert(command.end(), package.begin(), package.end());
  return command;
}

std::string command_as_shipped(const Kernel& kernel, const std::string& command) {
  const std::string added = fmt::format(" {} {}", kSectionFlags, target_named(kernel.arch).code_flags);
  const size_t at = command.find(added + " ");
  check(at != command.npos, "a recorded command lacks the options that it was prepared with: {}",
        command.substr(0, 200));
  return command.substr(0, at) + command.substr(at + added.size());
}

std::map<std::string, std::string> kbuild_environment() {
  return {{"LC_ALL", "C"}, {"KBUILD_BUILD_VERSION", "1"}};
}

void check_build_tools() {
  constexpr std::pair<const char*, const char*> tools[] = {
      {"make", "make"}, {"flex", "flex"}, {"bison", "bison"}, {"bc", "bc"},       {"xz", "xz-utils"},
      {"tar", "tar"},   {"perl", "perl"}, {"gcc", "gcc"},     {"ld", "binutils"}, {"awk", "mawk"}};
  std::string missing;
  for (const auto& [program, package] : tools) {
    if (!find_program(program)) missing += fmt::format(" {}", package);
  }
  if (find_program("gcc")) {  // kbuild's own programs are compiled by the host's compiler
    RunOptions options;
    options.input = "#include <gelf.h>\n";
    if (run({"gcc", "-E", "-x", "c", "-o", "/dev/null", "-"}, options).status != 0) missing += " libelf-dev";
    options.input = "#include <openssl/evp.h>\n";
    if (run({"gcc", "-E", "-x", "c", "-o", "/dev/null", "-"}, options).status != 0) missing += " libssl-dev";
  }
  if (!missing.empty()) {
    throw Error(fmt::format("kbuild needs what is not installed:{}", missing),
                fmt::format("apt-get install{}", missing));
  }
}

void prepare_tree(const Kernel& kernel) {
  check_tree_version(kernel);
  write_pahole_stub(kernel);
  copy_into_tree(kernel.config, kernel.source / ".config");
  copy_into_tree(kernel.symvers, kernel.source / "Module.symvers");
  const KernelConfig wanted = KernelConfig::read(kernel.config);
  Progress step("preparing the kernel source");
  run_make(kernel, {"olddefconfig"});
  const auto compare = [&] {
    check_same_config(wanted, KernelConfig::read(kernel.source / ".config"),
                      fmt::format("the config of {} and what this machine's tools make of it differ", kernel.release));
  };
  compare();
  step.advance("modules_prepare");
  run_make(kernel, {"modules_prepare"});
  compare();
  const std::string header = read_file(kernel.source / "include/generated/utsrelease.h");
  check(header.find('"' + kernel.release + '"') != header.npos, "the prepared tree does not carry the release {}: {}",
        kernel.release, header);
}

void write_package_header(const Kernel& kernel) {
  const fs::path shipped = kernel.symvers.parent_path() / kPackageHeader, ours = kernel.source / kPackageHeader;
  std::error_code error;
  if (package_variables(kernel).empty() || !fs::is_regular_file(ours, error)) return;
  if (read_file(ours) != read_file(shipped)) copy_into_tree(shipped, ours);
}

std::map<std::string, std::string> tree_fingerprints(const fs::path& source) {
  std::map<std::string, std::string> result;
  for (const char* file :
       {".config", "Module.symvers", "include/generated/autoconf.h", "include/generated/utsrelease.h",
        "include/generated/asm-offsets.h", "include/generated/bounds.h", "tools/objtool/objtool"}) {
    if (fs::exists(source / file)) result[file] = sha256_file(source / file);
  }
  return result;
}

void check_fingerprints(const fs::path& source, const std::map<std::string, std::string>& fingerprints,
                        const std::string& remedy) {
  for (const auto& [file, digest] : fingerprints) {
    const fs::path path = source / file;
    if (!fs::exists(path)) throw Error(fmt::format("{} of the prepared source is gone", path.string()), remedy);
    if (sha256_file(path) == digest) continue;
    const bool config = file == ".config" || file == "include/generated/autoconf.h";
    throw Error(
        fmt::format("{}{} was changed after the source was prepared", config ? "config-mismatch: " : "", path.string()),
        remedy);
  }
}

}  // namespace klp::kernel
