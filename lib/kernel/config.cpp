// A .config is lines "CONFIG_X=value" and comments. olddefconfig lets probed symbols drift with what is installed; they
// are told apart by name, so that every other difference is found.
#include "kernel/config.h"

#include <algorithm>
#include <array>
#include <regex>

#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr std::string_view kPrefix = "CONFIG_";

std::string strip_quotes(const std::string& value) {
  const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return quoted ? value.substr(1, value.size() - 2) : value;
}

/// "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0" -> "12.2.0-14+deb12u1"; empty when the vendor is not Debian or Ubuntu.
std::string package_version(const std::string& text) {
  const size_t open = text.find('(');
  const size_t close = text.find(')', open == text.npos ? 0 : open);
  if (open == text.npos || close == text.npos) return {};
  const std::string inside = text.substr(open + 1, close - open - 1);
  const size_t space = inside.find(' ');
  const bool known = inside.rfind("Debian ", 0) == 0 || inside.rfind("Ubuntu ", 0) == 0;
  return known ? inside.substr(space + 1) : std::string();
}

std::string install_hint(const Compiler& compiler) {
  const std::string version = package_version(compiler.text);
  const std::string program = std::filesystem::path(compiler.program).filename().string();
  if (version.empty()) return fmt::format("install the compiler that calls itself '{}' as {}", compiler.text, program);
  constexpr std::string_view cross = "powerpc64le-linux-gnu-";
  if (program.starts_with(cross))
    return fmt::format("apt-get install {}-powerpc64le-linux-gnu, or say with --cross-compile where the compiler is",
                       program.substr(cross.size()));
  return fmt::format(
      "apt-get install {} (version {}), from the distribution that built this kernel; or unpack it into "
      "a directory for --toolchain-root, as `klp-diff kernel fetch` does by itself",
      program, version);
}

}  // namespace

KernelConfig KernelConfig::parse(std::string_view text) {
  KernelConfig config;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    const size_t equals = line.find('=');
    if (line.substr(0, kPrefix.size()) == kPrefix && equals != line.npos) {
      config.values_[std::string(line.substr(kPrefix.size(), equals - kPrefix.size()))] = line.substr(equals + 1);
    }
    start = end + 1;
  }
  return config;
}

KernelConfig KernelConfig::read(const std::filesystem::path& path) {
  KernelConfig config = parse(read_file(path));
  if (config.values_.empty())
    throw Error(fmt::format("{} is not a kernel config: it has no CONFIG_ line", path.string()),
                "take the config of the running kernel, e.g. /boot/config-$(uname -r)");
  return config;
}

std::string KernelConfig::value(const std::string& symbol) const {
  const auto found = values_.find(symbol);
  return found == values_.end() ? std::string() : strip_quotes(found->second);
}

bool is_probed_symbol(std::string_view symbol) {
  constexpr std::array exact = {"BUILD_SALT",          "MODULE_SIG_ALL",       "MODULE_SIG_KEY",
                                "SYSTEM_TRUSTED_KEYS", "PAHOLE_VERSION",       "AS_VERSION",
                                "LD_VERSION",          "LLD_VERSION",          "SYSTEM_REVOCATION_KEYS",
                                "RUSTC_VERSION_TEXT",  "BINDGEN_VERSION_TEXT", "HAVE_RUST",
                                "RUST_IS_AVAILABLE",   "GCC_PLUGINS",          "TOOLS_SUPPORT_RELR"};
  if (std::find(exact.begin(), exact.end(), symbol) != exact.end()) return true;
  constexpr std::array prefixes = {"PAHOLE_HAS_", "RUSTC_", "CC_CAN_LINK"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return symbol.substr(0, prefix.size()) == prefix; });
}

std::vector<std::string> differences(const KernelConfig& from, const KernelConfig& to) {
  std::vector<std::string> result;
  const auto add = [&](const std::string& symbol, const std::string& a, const std::string& b) {
    if (!is_probed_symbol(symbol)) result.push_back(fmt::format("CONFIG_{}: {} -> {}", symbol, a, b));
  };
  for (const auto& [symbol, value] : from.values()) {
    const auto other = to.values().find(symbol);
    if (other == to.values().end())
      add(symbol, value, "unset");
    else if (other->second != value &&
             !(symbol == "CC_VERSION_TEXT" && is_same_compiler(strip_quotes(value), strip_quotes(other->second))))
      add(symbol, value, other->second);
  }
  for (const auto& [symbol, value] : to.values()) {
    if (!from.is_set(symbol)) add(symbol, "unset", value);
  }
  std::sort(result.begin(), result.end());
  return result;
}

void check_same_config(const KernelConfig& expected, const KernelConfig& found, std::string_view what) {
  const std::vector<std::string> list = differences(expected, found);
  if (list.empty()) return;
  std::string shown;
  for (size_t i = 0; i < std::min<size_t>(list.size(), 8); ++i) shown += "\n  " + list[i];
  if (list.size() > 8) shown += fmt::format("\n  ... and {} more", list.size() - 8);
  throw Error(
      fmt::format("config-mismatch: {} in {} symbol{}:{}", what, list.size(), list.size() == 1 ? "" : "s", shown),
      "a livepatch must be built with the very config of the running kernel: give that one, with the tools it needs "
      "installed");
}

std::vector<std::string> unsupported(const KernelConfig& config) {
  std::vector<std::string> reasons;
  constexpr std::pair<const char*, const char*> harmful[] = {
      {"RANDSTRUCT", "structure layouts are randomised"},
      {"GCC_PLUGIN_RANDSTRUCT", "structure layouts are randomised"},
      {"GCC_PLUGIN_LATENT_ENTROPY", "the plugin puts random values into every function"},
      {"LD_DEAD_CODE_DATA_ELIMINATION", "the linker drops functions, so an object does not show what the kernel has"},
      {"LTO", "code is generated at the link, so an object cannot be compared"},
      {"LTO_CLANG", "code is generated at the link, so an object cannot be compared"},
  };
  for (const auto& [symbol, reason] : harmful) {
    if (config.is_set(symbol)) reasons.push_back(fmt::format("its config sets CONFIG_{}: {}", symbol, reason));
  }
  return reasons;
}

std::string without_livepatches(const KernelConfig& config) {
  if (config.value("LIVEPATCH") == "y") return {};
  return "its config does not set CONFIG_LIVEPATCH, so this kernel loads no livepatch";
}

void check_supported(const KernelConfig& config, std::string_view kernel, bool for_comparison) {
  std::vector<std::string> reasons = unsupported(config);
  const std::string none = for_comparison ? std::string() : without_livepatches(config);
  if (!none.empty()) reasons.insert(reasons.begin(), none);
  if (reasons.empty()) return;
  throw Error(fmt::format("{}: {}", kernel, fmt::join(reasons, "; ")),
              none.empty() ? "klp-diff cannot make livepatches for such a kernel"
                           : "choose a kernel that is built with CONFIG_LIVEPATCH=y; this one can be compared "
                             "(klp-diff compare)");
}

Compiler compiler_of(const KernelConfig& config) {
  Compiler compiler;
  compiler.text = config.value("CC_VERSION_TEXT");
  compiler.program = compiler.text.substr(0, compiler.text.find(' '));
  if (compiler.program.empty()) {
    throw Error("the config does not say which compiler built the kernel (CONFIG_CC_VERSION_TEXT)",
                "take the config of the running kernel, e.g. /boot/config-$(uname -r)");
  }
  return compiler;
}

bool is_same_compiler(std::string_view a, std::string_view b) {
  constexpr std::string_view cross = "powerpc64le-linux-gnu-";
  if (a == b) return true;
  if (a.starts_with(cross) == b.starts_with(cross)) return false;
  std::string native(a.starts_with(cross) ? b : a);
  const std::string crossing((a.starts_with(cross) ? a : b).substr(cross.size()));
  static const std::regex update("\\+deb[0-9]+u[0-9]+\\)");
  return crossing == native || crossing == std::regex_replace(native, update, ")");
}

void check_compiler(const Compiler& compiler) {
  if (!find_program(compiler.program)) {
    throw Error(fmt::format("compiler-mismatch: the kernel was built by '{}', and {} is not installed", compiler.text,
                            compiler.program),
                install_hint(compiler));
  }
  RunOptions options;
  options.merge_output = false;
  const RunResult result = run({compiler.program, "--version"}, options);
  const std::string line = result.output.substr(0, result.output.find('\n'));
  if (result.status == 0 && is_same_compiler(line, compiler.text)) return;
  throw Error(
      fmt::format("compiler-mismatch: the kernel was built by '{}', but {} here {}", compiler.text, compiler.program,
                  result.status == 0 ? fmt::format("is '{}'", line) : "does not run: " + result.error_output),
      install_hint(compiler));
}

}  // namespace klp::kernel
