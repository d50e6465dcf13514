// klp-diff: parses the command line, runs one command, maps its outcome to the exit status.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "commands.h"
#include "kernel/apt.h"
#include "options.h"
#include "support/error.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::tools {
namespace {

int run_program(int argc, char** argv) {
  CLI::App app{"klp-diff makes kernel livepatches from source patches, without a kernel build."};
  app.set_version_flag("--version", "klp-diff " KLP_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  CommonOptions common;
  app.add_flag("-v,--verbose", common.verbose, "say more: the whole chain of reasons in reports, steps on stderr");
  app.add_flag("-q,--quiet", common.quiet, "errors only on stderr");
  app.add_option("--color", common.color, "colour in text output")->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_option("--debug", common.debug_phases, "debug messages of these phases, e.g. correlate,closure")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.parse_complete_callback([&common] {
    configure_logging(common.quiet     ? Verbosity::quiet
                      : common.verbose ? Verbosity::verbose
                                       : Verbosity::normal,
                      common.debug_phases);
    enable_progress(!common.quiet);
  });

  ExitStatus status = ExitStatus::ok;
  add_build_command(app, common, status);
  add_extract_command(app, common, status);
  add_inspect_command(app, common, status);
  add_verify_command(app, common, status);
  add_boot_command(app, common, status);
  add_compare_command(app, common, status);
  add_kernel_command(app, common, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(ExitStatus::usage);
  }
  return static_cast<int>(status);
}

}  // namespace

void add_kernel_options(CLI::App& command, kernel::KernelSelection& selection) {
  command.add_option(
      "-k,--kernel", selection.name,
      "kernel, e.g. debian:6.1.0-56-cloud-amd64 or debian:6.1-cloud-amd64 (the newest fetched); default: the "
      "running kernel's release");
  command.add_option("--source", selection.source, "kernel source tree");
  command.add_option("--config", selection.config, "kernel config");
  command.add_option("--symvers", selection.symvers, "Module.symvers");
  command.add_option("--vmlinux", selection.vmlinux, "vmlinux with symbols");
  command.add_option("--modules", selection.modules, "directory of .ko files with symbols");
  command.add_option("--arch", selection.arch,
                     "what the kernel is for: x86_64 or ppc64; an error when it is for another machine");
  command
      .add_option("--cross-compile", selection.cross_compile,
                  "what the cross compiler's and its binutils' names begin with (default for ppc64: "
                  "powerpc64le-linux-gnu-)")
      ->type_name("PREFIX");
  command.add_option("--toolchain-root", selection.toolchain_root,
                     "directory that the packages of the kernel's compiler and binutils are unpacked in (default: the "
                     "host's compiler if it built the kernel, else the one that `kernel fetch` put into the cache)");
}

bool use_color(const CommonOptions& common, int stream_fd) {
  if (common.color != "auto") return common.color == "always";
  return isatty(stream_fd) != 0;
}

}  // namespace klp::tools

int main(int argc, char** argv) {
  constexpr const char* full_disk_hint =
      "free some space, or choose another disk with -o, --work-dir, TMPDIR or KLP_DIFF_CACHE";
  klp::install_interrupt_handlers();
  try {
    return klp::tools::run_program(argc, argv);
  } catch (const klp::Error& error) {
    fmt::print(stderr, "klp-diff: {}\n", error.what());
    if (!error.hint().empty())
      fmt::print(stderr, "  hint: {}\n", error.hint());
    else if (klp::kernel::tells_full_disk(error.what()))
      fmt::print(stderr, "  hint: {}\n", full_disk_hint);
    return static_cast<int>(error.status());
  } catch (const std::exception& error) {
    fmt::print(stderr, "klp-diff: {}\n", error.what());
    if (klp::kernel::tells_full_disk(error.what())) fmt::print(stderr, "  hint: {}\n", full_disk_hint);
    return static_cast<int>(klp::ExitStatus::failed);
  }
}
