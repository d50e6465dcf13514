// klp-diff build: options and output; the phases are in build_pipeline.cpp.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "build_pipeline.h"
#include "commands.h"
#include "options.h"
#include "report_fill.h"

namespace klp::tools {
namespace {

struct BuildCommand {
  BuildOptions options;
  bool no_replace = false;
  std::string json;
};

BuildResult build(const BuildCommand& command) {
  try {
    return run_build(command.options);
  } catch (const Error& error) {
    show_failure("build", command.json, error);
    throw;
  }
}

void check_usage(const BuildOptions& options) {
  const bool original = !options.original_tree.empty(), patched = !options.patched_tree.empty();
  const auto wrong = [](const char* what, const char* hint) { throw Error(what, hint, ExitStatus::usage); };
  if (original != patched)
    wrong(original ? "--original-tree is given without --patched-tree"
                   : "--patched-tree is given without --original-tree",
          "give both: the tree compiled before and the one compiled after the change");
  if (original && !options.patches.empty())
    wrong("patches and build trees are given together", "give either PATCH... or --original-tree and --patched-tree");
  if (!original && options.patches.empty())
    wrong("there is nothing to build from", "give PATCH..., or --original-tree and --patched-tree");
  if (options.split && !options.output.empty() && !std::filesystem::is_directory(options.output))
    wrong("--split writes several modules, and -o names no directory", "give -o an existing directory");
}

ExitStatus run(BuildCommand& command, const CommonOptions& common) {
  check_usage(command.options);
  command.options.replace = !command.no_replace && !command.options.split;
  const BuildResult result = build(command);
  if (!result.plan.empty()) {
    fmt::print("{}", result.plan);
    return ExitStatus::ok;
  }
  show_report(result.report, command.json, use_color(common, 1), common.verbose);
  return status_of(result.report.outcome);
}

}  // namespace

void add_build_command(CLI::App& app, const CommonOptions& common, ExitStatus& status) {
  CLI::App* sub = app.add_subcommand("build", "make a livepatch module from source patches, or from two build trees");
  const auto command = std::make_shared<BuildCommand>();
  BuildOptions& o = command->options;
  sub->add_option("PATCH", o.patches, "patch files, applied in order with -p1");
  sub->add_option("--original-tree", o.original_tree,
                  "instead of patches: the directory where the kernel was compiled as it is (make, or make O=), with "
                  "KCFLAGS=\"-ffunction-sections -fdata-sections\"");
  sub->add_option("--patched-tree", o.patched_tree, "and the one where it was compiled after the change");
  add_kernel_options(*sub, o.kernel);
  sub->add_option("-o,--output", o.output, "the module to write, or a directory for it (default: NAME.ko here)");
  sub->add_option("--name", o.name,
                  "the module's name (default: livepatch_ and the first patch's or the patched tree's file name)");
  sub->add_flag("--no-replace", command->no_replace, "do not replace livepatches that are already loaded");
  sub->add_flag(
      "--split", o.split,
      "make one module for each patched object (vmlinux, a module), NAME_OBJECT, instead of one for all; none "
      "of them replaces livepatches that are already loaded");
  sub->add_option("-j,--jobs", o.jobs, "parallel compilations (default: all processors)");
  sub->add_option("--cc-launcher", o.cc_launcher,
                  "a command to put before the compiler in all compilations: ccache, distcc, icecc");
  sub->add_option("--accept", o.accept,
                  "turn a refusal that is the author's to judge into a warning: CODE or CODE:SYMBOL")
      ->allow_extra_args(false);
  sub->add_option("--max-caller-units", o.max_caller_units,
                  "how many other files may join the build because they call a changed function that cannot be "
                  "redirected itself (default: 8)");
  sub->add_flag("--plan", o.plan, "stop before writing and print the plan");
  sub->add_option("--json", command->json, "write the report as JSON to this file; - for standard output");
  sub->add_option("--work-dir", o.work_dir,
                  "where the working directory is made (default: the system's temporary directory)");
  sub->add_flag_callback(
      "--no-cache", [command] { command->options.use_cache = false; },
      "compile the originals anew, also those in the cache");
  sub->add_flag("--keep", o.keep, "keep the working directory");
  sub->callback([command, &common, &status] { status = run(*command, common); });
}

}  // namespace klp::tools
