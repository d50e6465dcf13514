// Opening a kernel costs milliseconds and trusts nothing: the pieces are looked at each time, because a kernel in the
// cache can be damaged, changed by hand, or meet another compiler than the one it was fetched with.
#include "kernel/kernel.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <regex>

#include "elf/btf.h"
#include "kernel/by_path.h"
#include "kernel/config.h"
#include "kernel/prepare.h"
#include "kernel/store.h"
#include "kernel/target.h"
#include "kernel/toolchain.h"
#include "support/files.h"
#include "support/log.h"

namespace klp::kernel {
namespace {

std::string running_release() {
  utsname info{};
  return uname(&info) == 0 ? info.release : std::string();
}

/// "debian:6.1-cloud-amd64" has no third number.
bool is_series(const std::string& name) {
  const size_t dash = name.find('-');
  return dash != std::string::npos && std::count(name.begin(), name.begin() + static_cast<long>(dash), '.') == 1;
}

/// The newest complete kernel of a series: "debian:6.1-cloud-amd64" fits "debian:6.1.0-56-cloud-amd64", not
/// "...-rt-...".
std::string newest_fetched(const std::string& name) {
  const size_t dash = name.find('-');
  const std::string series = name.substr(0, dash) + ".", flavour = name.substr(dash);
  std::string best;
  for (const FetchedKernel& kernel : list_kernels()) {
    const std::string& candidate = kernel.name;
    if (!kernel.complete || candidate.rfind(series, 0) != 0 || !candidate.ends_with(flavour)) continue;
    const std::string abi = candidate.substr(series.size(), candidate.size() - series.size() - flavour.size());
    static const std::regex abi_name("\\d+(-\\d+|\\+[a-z0-9.~]+|~[a-z0-9.+]+)+");
    if (!std::regex_match(abi, abi_name)) continue;
    if (best.empty() || natural_less(best, candidate)) best = candidate;
  }
  return best;
}

std::string resolve_name(const std::string& name, const FetchOptions& options) {
  if (!name.empty()) {
    const std::string resolved = is_series(name) ? newest_fetched(name) : name;
    return resolved.empty() ? fetch_kernel(name, options) : resolved;
  }
  const std::string release = running_release();
  const std::string resolved = "debian:" + release;
  if (fs::exists(kernel_directory(resolved) / "kernel.json")) return resolved;
  throw Error(
      fmt::format("no kernel was named, and the running one ({}) is not fetched", release),
      fmt::format(
          "name one with -k, e.g. -k debian:6.1-cloud-amd64; for the running kernel, if it is Debian's: klp-diff "
          "kernel fetch {}",
          resolved));
}

void check_pieces(const Kernel& kernel, const std::string& remedy) {
  const std::pair<const char*, const fs::path*> pieces[] = {
      {"source tree", &kernel.source},        {"config", &kernel.config},
      {"Module.symvers", &kernel.symvers},    {"vmlinux", &kernel.vmlinux},
      {"modules directory", &kernel.modules}, {"pahole stub", &kernel.pahole}};
  for (const auto& [what, path] : pieces) {
    if (!fs::exists(*path))
      throw Error(fmt::format("{}: its {} is missing: {}", kernel.name, what, path->string()), remedy);
  }
}

Kernel open_named(const std::string& wanted, const KernelSelection& selection) {
  const fs::path& toolchain_root = selection.toolchain_root;
  const FetchOptions options{{}, toolchain_root, selection.for_comparison};
  const std::string name = resolve_name(wanted, options);
  if (name != wanted) log("kernel").info("{} is {}", wanted.empty() ? "the kernel" : wanted, name);
  const fs::path directory = kernel_directory(name);
  std::optional<Description> description = load_description(directory);
  if (!description) {
    fetch_kernel(name, options);
    description = load_description(directory);
    check(description.has_value(), "{}: the fetch left no description", name);
  }
  Kernel& kernel = description->kernel;
  const std::string remedy =
      fmt::format("fetch it again: klp-diff kernel remove {0} && klp-diff kernel fetch {0}", name);
  check_pieces(kernel, remedy);
  check_vmlinux(kernel, remedy);
  const KernelConfig config = KernelConfig::read(kernel.config);
  check_supported(config, name, selection.for_comparison);
  if (!toolchain_root.empty()) kernel.compiler = choose_compiler(compiler_of(config), toolchain_root);
  check_compiler({kernel.compiler, compiler_of(config).text});
  check_fingerprints(kernel.source, description->fingerprints, remedy);
  check_same_config(config, KernelConfig::read(kernel.source / ".config"),
                    fmt::format("the config of {} and its prepared source's differ", name));
  write_package_header(kernel);
  return kernel;
}

std::string module_name(const fs::path& file) {
  std::string name = file.filename().string();
  name = name.substr(0, name.find(".ko"));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// Directory -> module name -> file, walked once a process.
const std::map<std::string, fs::path>& modules_in(const fs::path& directory) {
  static std::mutex mutex;
  static std::map<fs::path, std::map<std::string, fs::path>> known;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace(directory);
  if (!is_new) return found->second;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".ko") found->second.emplace(module_name(it->path()), it->path());
  }
  return found->second;
}

}  // namespace

fs::path cache_root() {
  const char* chosen = std::getenv("KLP_DIFF_CACHE");
  if (chosen != nullptr && chosen[0] != '\0') return fs::absolute(chosen).lexically_normal();
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] == '\0') {
    throw Error("neither KLP_DIFF_CACHE nor HOME is set", "set KLP_DIFF_CACHE to a directory for fetched kernels");
  }
  return fs::path(home) / ".cache/klp-diff";
}

void check_vmlinux(const Kernel& kernel, const std::string& remedy) {
  const elf::ImageFacts facts = elf::read_image_facts(kernel.vmlinux);
  const std::string path = kernel.vmlinux.string();
  if (!facts.has_symbols) throw Error(fmt::format("{} is stripped: it has no symbol table", path), remedy);
  if (!facts.has_debug_info) throw Error(fmt::format("{} has no debug information (.debug_info)", path), remedy);
  if (!facts.release.empty() && facts.release != kernel.release) {
    throw Error(fmt::format("{} is of release {}, not {}", path, facts.release, kernel.release), remedy);
  }
  if (facts.build_id != kernel.build_id) {
    throw Error(fmt::format("{} has build id {}, not {}: it was exchanged", path, facts.build_id, kernel.build_id),
                remedy);
  }
}

void check_architecture(const Kernel& kernel, const KernelSelection& selection) {
  if (selection.arch.empty() || target_named(selection.arch).arch == kernel.arch) return;
  throw Error(fmt::format("--arch {}: {} is a kernel for {}", selection.arch, kernel.name, kernel.arch),
              "leave --arch out, or name a kernel for that architecture", ExitStatus::usage);
}

Kernel open_kernel(const KernelSelection& selection) {
  const bool by_path = !selection.source.empty() || !selection.config.empty() || !selection.symvers.empty() ||
                       !selection.vmlinux.empty() || !selection.modules.empty();
  if (!by_path) {
    Kernel kernel = open_named(selection.name, selection);
    check_architecture(kernel, selection);
    return kernel;
  }
  std::optional<Kernel> base;
  if (!selection.name.empty()) base = open_named(selection.name, selection);
  return open_by_path(selection, base);
}

std::string fetched_name(const std::string& name) {
  if (is_series(name)) return newest_fetched(name);
  return fs::exists(kernel_directory(name) / "kernel.json") ? name : std::string();
}

std::optional<fs::path> find_module(const Kernel& kernel, const std::string& module) {
  const std::map<std::string, fs::path>& modules = modules_in(kernel.modules);
  const auto found = modules.find(module_name(module));
  if (found == modules.end()) return std::nullopt;
  return found->second;
}

std::vector<FetchedKernel> list_kernels() {
  std::vector<FetchedKernel> result;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kernels_root(), error)) {
    if (!entry.is_directory()) continue;
    FetchedKernel kernel;
    kernel.name = name_of_directory(entry.path().filename().string());
    kernel.complete = fs::exists(entry.path() / "kernel.json");
    result.push_back(kernel);
  }
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return natural_less(a.name, b.name); });
  return result;
}

uint64_t kernel_bytes(const std::string& name) {
  return disk_usage(kernel_directory(name));
}

void remove_kernel(const std::string& name) {
  const fs::path directory = kernel_directory(name);
  if (!fs::is_directory(directory)) {
    throw Error(fmt::format("kernel {} is not fetched", name), "`klp-diff kernel list` shows the fetched ones");
  }
  {
    const FileLock lock(lock_file(directory));
    // The description goes first: an interrupted removal leaves an incomplete kernel, not a broken one.
    remove_tree(directory / "kernel.json");
    remove_tree(directory / "steps");
    remove_tree(directory);
  }
  remove_tree(lock_file(directory));
}

}  // namespace klp::kernel
