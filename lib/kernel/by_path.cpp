// A kernel given by paths lives in CACHE/trees/<digest of the paths>: a copy of the source without build products,
// prepared like a fetched one. A stamp holds what it was made from (contents of the small files, size and time of every
// source file), so that a changed tree is never mistaken for the copy.
#include "kernel/by_path.h"

#include <sys/stat.h>

#include <algorithm>

#include "elf/btf.h"
#include "kernel/apt.h"
#include "kernel/config.h"
#include "kernel/index.h"
#include "kernel/prepare.h"
#include "kernel/store.h"
#include "kernel/target.h"
#include "kernel/toolchain.h"
#include "support/files.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

fs::path take(const fs::path& given, const fs::path Kernel::*member, const std::optional<Kernel>& base,
              const char* option) {
  const fs::path path = !given.empty() ? given : base ? (*base).*member : fs::path();
  if (path.empty()) {
    throw Error(
        fmt::format("a kernel given by paths needs {} too", option),
        "give --source, --config, --symvers, --vmlinux and --modules, or name with -k the kernel that has the others");
  }
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) {
    throw Error(fmt::format("{} {}: {}", option, path.string(), error.message()),
                std::string(option) == "--symvers"
                    ? "Module.symvers is in the linux-headers package of the kernel, or in the tree "
                      "of a finished kernel build"
                    : "check the path");
  }
  const bool directory = member == &Kernel::source || member == &Kernel::modules;
  if (directory != fs::is_directory(real)) {
    throw Error(fmt::format("{} {} is {} directory", option, path.string(), directory ? "not a" : "a"),
                "check the path");
  }
  return real;
}

bool is_source_file(const std::string& name) {
  const size_t dot = name.rfind('.');
  const std::string extension = dot == name.npos ? std::string() : name.substr(dot);
  if (name.ends_with(".mod.c")) return false;
  for (const char* wanted : {".c", ".h", ".S", ".lds", ".tbl", ".sh", ".pl", ".py", ".awk", ".inc", ".include"}) {
    if (extension == wanted) return true;
  }
  return name.rfind("Makefile", 0) == 0 || name.rfind("Kconfig", 0) == 0 || name.rfind("Kbuild", 0) == 0;
}

bool is_generated_directory(const fs::path& path) {
  const std::string text = path.string();
  return text.ends_with("/.git") || text.ends_with("/include/generated") || text.ends_with("/include/config");
}

/// Names, sizes and times of all source files, as one digest. A fifth of a second for a kernel tree.
std::string tree_state(const fs::path& source) {
  std::vector<std::string> lines;
  std::error_code error;
  for (fs::recursive_directory_iterator it(source, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory() && is_generated_directory(it->path())) it.disable_recursion_pending();
    struct stat info {};
    if (!is_source_file(it->path().filename().string()) || lstat(it->path().c_str(), &info) != 0) continue;
    lines.push_back(
        fmt::format("{} {} {}.{}\n", it->path().string(), info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
  }
  check(!error, "cannot read {}: {}", source.string(), error.message());
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return sha256_hex(all);
}

/// Copies a tree without build products: they would make kbuild believe that units are up to date.
void copy_source(const fs::path& from, const fs::path& to) {
  const Progress step("copying the kernel source");
  make_directories(to);
  std::string patterns;
  for (const char* pattern : {"./.git",
                              "./vmlinux*",
                              "./include/generated",
                              "./include/config",
                              "./arch/*/include/generated",
                              "./.config*",
                              "./Module.symvers",
                              "*.o",
                              "*.ko",
                              "*.cmd",
                              "*.a",
                              "*.mod",
                              "*.mod.c",
                              "modules.order",
                              ".tmp_*",
                              "*.so",
                              "*.so.dbg",
                              "./scripts/mod/*.s",
                              "./kernel/bounds.s",
                              "asm-offsets.s"}) {
    patterns += fmt::format(" --exclude='{}'", pattern);
  }
  const std::string script = "set -e -o pipefail; tar -C \"$1\"" + patterns + " -cf - . | tar -C \"$2\" -xf -";
  run_checked({"bash", "-c", script, "copy", from.string(), to.string()});
}

void check_given_config(const Kernel& kernel, const std::optional<Kernel>& base, bool for_comparison) {
  const KernelConfig config = KernelConfig::read(kernel.config);
  if (base && kernel.config != base->config && kernel.vmlinux == base->vmlinux) {
    check_same_config(
        KernelConfig::read(base->config), config,
        fmt::format("{} differs from the config that {} was built with", kernel.config.string(), base->name));
  }
  check_supported(config, kernel.name, for_comparison);
}

Kernel collect(const KernelSelection& selection, const std::optional<Kernel>& base) {
  Kernel kernel;
  kernel.source = take(selection.source, &Kernel::source, base, "--source");
  kernel.config = take(selection.config, &Kernel::config, base, "--config");
  kernel.symvers = take(selection.symvers, &Kernel::symvers, base, "--symvers");
  kernel.vmlinux = take(selection.vmlinux, &Kernel::vmlinux, base, "--vmlinux");
  kernel.modules = take(selection.modules, &Kernel::modules, base, "--modules");
  const elf::ImageFacts facts =
      with_hint("give the vmlinux of the kernel build, or that of the -dbg package (--vmlinux)",
                [&] { return elf::read_image_facts(kernel.vmlinux); });
  const Target& target =
      with_context(kernel.vmlinux.string(), [&]() -> const Target& { return target_of_machine(facts.machine); });
  kernel.release = facts.release;
  kernel.build_id = facts.build_id;
  kernel.arch = target.arch;
  if (kernel.release.empty()) {
    throw Error(
        fmt::format("{} names no release (no 'Linux version' text): it is not a kernel", kernel.vmlinux.string()),
        "give the vmlinux of the kernel build, or that of the -dbg package");
  }
  kernel.name = kernel.release;
  check_architecture(kernel, selection);
  const Compiler compiler = compiler_of(KernelConfig::read(kernel.config));
  kernel.compiler = target.completes_calls ? cross_compiler(target, compiler, selection.cross_compile)
                                           : choose_compiler(compiler, selection.toolchain_root);
  kernel.compiler_text = compiler.text;
  if (target.boots_vmlinux) {
    kernel.image = kernel.vmlinux;
    kernel.boot_modules = kernel.modules;
  }
  if (base && base->release == kernel.release) {
    kernel.image = base->image;
    kernel.boot_modules = base->boot_modules;
  }
  return kernel;
}

std::string paths_key(const Kernel& kernel) {
  std::string text;
  for (const fs::path* path : {&kernel.source, &kernel.config, &kernel.symvers, &kernel.vmlinux, &kernel.modules}) {
    text += path->string() + "\n";
  }
  if (fs::path(kernel.compiler).has_parent_path()) text += kernel.compiler + "\n";  // it is part of what is prepared
  return sha256_hex(text).substr(0, 16);
}

std::string contents_key(const Kernel& kernel) {
  std::string text = kernel.build_id + "\n" + kernel.release + "\n";
  text += sha256_file(kernel.config) + "\n" + sha256_file(kernel.symvers) + "\n" + tree_state(kernel.source) + "\n";
  return sha256_hex(text);
}

/// Makes the directory's tree anew from the given pieces. Nothing is left when it fails.
void make_copy(Kernel& kernel, const fs::path& directory, const fs::path& original, const std::string& contents) {
  remove_tree(directory);
  make_directories(kernel.cache);
  check_build_tools();
  try {
    copy_source(original, kernel.source);
    prepare_tree(kernel);
    make_index(kernel);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
    throw;
  }
  // The paths of the user's own files lie outside the directory; only what was made is described.
  save_description(directory, {kernel, tree_fingerprints(kernel.source)});
  mark_step(directory, "prepared", contents);
}

bool is_current(const fs::path& directory, const std::string& contents) {
  return step_done(directory, "prepared") && read_file(directory / "steps/prepared") == contents + "\n";
}

}  // namespace

Kernel open_by_path(const KernelSelection& selection, const std::optional<Kernel>& base) {
  Kernel kernel = collect(selection, base);
  check_given_config(kernel, base, selection.for_comparison);
  check_compiler({kernel.compiler, kernel.compiler_text});
  check_vmlinux(kernel,
                "give the vmlinux with symbols and debug information, e.g. that of the -dbg package (--vmlinux)");
  const fs::path original = kernel.source;
  const std::string key = paths_key(kernel), contents = contents_key(kernel);
  const fs::path directory = kernel_directory(key).parent_path().parent_path() / "trees" / key;
  kernel.source = directory / "source";
  kernel.pahole = directory / "pahole";
  kernel.cache = directory / "cache";
  make_directories(directory.parent_path());
  const FileLock lock(lock_file(directory));
  if (!is_current(directory, contents)) make_copy(kernel, directory, original, contents);
  const auto description = load_description(directory);
  check(description.has_value(), "{} is incomplete", directory.string());
  check_fingerprints(kernel.source, description->fingerprints, "remove " + directory.string());
  return kernel;
}

}  // namespace klp::kernel
