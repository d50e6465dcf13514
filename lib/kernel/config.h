// A kernel's .config: reading it, comparing two, and what it says about the compiler.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace klp::kernel {

/// CONFIG_ symbols (without the prefix) that are set, with their values as written ("y", "m", "\"text\"", "124").
class KernelConfig {
 public:
  /// Errors: the file is missing, or holds no CONFIG_ line at all.
  static KernelConfig read(const std::filesystem::path& path);
  static KernelConfig parse(std::string_view text);

  bool is_set(const std::string& symbol) const { return values_.count(symbol) != 0; }
  /// The value without quotes; empty when not set.
  std::string value(const std::string& symbol) const;
  const std::map<std::string, std::string>& values() const { return values_; }

 private:
  std::map<std::string, std::string> values_;
};

/// Symbols that say what was installed at the build, or name the distribution's keys; none changes code of a unit.
bool is_probed_symbol(std::string_view symbol);

/// The differences outside the probed symbols, as "CONFIG_X: a -> b", in order of the symbols. "unset" stands for none.
std::vector<std::string> differences(const KernelConfig& from, const KernelConfig& to);

/// Throws Error "config-mismatch: ..." when there are any; `what` says which configs are compared.
void check_same_config(const KernelConfig& expected, const KernelConfig& found, std::string_view what);

/// What in the config keeps the kernel's units from being what it ships, one sentence each: structure layout
/// randomisation, latent entropy, dead code elimination, LTO.
std::vector<std::string> unsupported(const KernelConfig& config);

/// The sentence that the kernel loads no livepatch (CONFIG_LIVEPATCH unset); empty when it does. Such a kernel can
/// still be compared.
std::string without_livepatches(const KernelConfig& config);

/// Throws Error when there is anything unsupported(), or without `for_comparison` no livepatches.
void check_supported(const KernelConfig& config, std::string_view kernel, bool for_comparison = false);

struct Compiler {
  std::string program;  ///< "gcc-12"
  std::string text;     ///< CONFIG_CC_VERSION_TEXT
};

/// The compiler that the config names. Throws Error when it names none.
Compiler compiler_of(const KernelConfig& config);

/// Whether two such texts are of one compiler: equal, or one of them a cross compiler's that has the version which the
/// other one, a native compiler, had before updates of the stable distribution ("12.2.0-14" and "12.2.0-14+deb12u1":
/// Debian does not build its cross compilers anew for them).
bool is_same_compiler(std::string_view a, std::string_view b);

/// Throws Error "compiler-mismatch: ..." naming the Debian package unless the first line of `program --version` is of
/// the compiler that the text names.
void check_compiler(const Compiler& compiler);

}  // namespace klp::kernel
