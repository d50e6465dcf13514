#include "kernel/survey.h"

#include <fmt/format.h>

#include "kernel/config.h"
#include "kernel/kernel.h"
#include "kernel/store.h"
#include "kernel/target.h"
#include "kernel/toolchain.h"
#include "support/files.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

std::string native_architecture() {
  std::string text = run_checked({"dpkg", "--print-architecture"});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

/// The config in Debian's headers package.
KernelConfig read_shipped_config(Apt& apt, const Settled& settled) {
  make_directories(cache_root());
  const TempDir directory(cache_root(), "survey");
  const fs::path deb = apt.download(settled.packages.at("headers"), directory.path());
  run_checked({"dpkg-deb", "-x", deb.string(), (directory.path() / "headers").string()});
  return KernelConfig::read(directory.path() / "headers/usr/src" / ("linux-headers-" + settled.release) / ".config");
}

void judge_compiler(Apt& apt, const Target& target, const Compiler& compiler, const std::string& chosen_toolchain,
                    Survey& survey) {
  survey.compiler = compiler.text;
  try {
    check_compiler(
        {target.completes_calls ? cross_compiler(target, compiler, {}) : choose_compiler(compiler, chosen_toolchain),
         compiler.text});
    return;
  } catch (const Error& error) {
    if (!chosen_toolchain.empty() || target.completes_calls) {
      survey.lacks.emplace_back(error.what());
      return;
    }
  }
  do {
    survey.toolchain = toolchain_packages(apt, compiler);
  } while (survey.toolchain.empty() && apt.use_more_lists());
  if (survey.toolchain.empty()) {
    survey.lacks.push_back(
        fmt::format("its compiler, '{}', is neither installed nor in the package sources", compiler.text));
  }
}

/// Null for an architecture that livepatches are not made for.
const Target* maybe_target(const DebianName& name) {
  try {
    return &target_named(name.architecture());
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace

uint64_t Survey::download_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [role, package] : settled.packages) bytes += package.size;
  for (const PackageVersion& package : toolchain) bytes += package.size;
  return bytes;
}

Apt apt_for(const DebianName& name, const std::vector<std::string>& suites) {
  const std::string architecture = name.architecture();
  return Apt(cache_root() / "apt", suites, architecture == native_architecture() ? std::string() : architecture);
}

Survey survey_packages(Apt& apt, const DebianName& name, Settled settled, const std::string& chosen_toolchain) {
  Survey survey;
  survey.name = "debian:" + settled.release;
  survey.settled = std::move(settled);
  for (const std::string& missing : survey.settled.missing)
    survey.lacks.push_back(fmt::format("the package sources have no {}", missing));
  const Target* target = maybe_target(name);
  if (target == nullptr)
    survey.lacks.push_back(
        fmt::format("its architecture, {}, is none that kernels are fetched for", name.architecture()));
  if (survey.settled.packages.count("headers") == 0) return survey;  // nothing says what its config is
  const KernelConfig config = read_shipped_config(apt, survey.settled);
  for (const std::string& reason : unsupported(config)) survey.lacks.push_back(reason);
  survey.no_livepatches = without_livepatches(config);
  if (target != nullptr) judge_compiler(apt, *target, compiler_of(config), chosen_toolchain, survey);
  return survey;
}

Survey survey_kernel(const std::string& name, const std::vector<std::string>& suites,
                     const std::string& chosen_toolchain) {
  const DebianName parsed = parse_name(name);
  Apt apt = apt_for(parsed, suites);
  return survey_packages(apt, parsed, settle(apt, parsed), chosen_toolchain);
}

}  // namespace klp::kernel
