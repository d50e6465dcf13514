// klp-diff inspect: what a livepatch module contains, whoever made it.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "commands.h"
#include "options.h"
#include "report/livepatch_report.h"
#include "support/files.h"

namespace klp::tools {
namespace {

struct InspectOptions {
  fs::path module;
  std::string json;  // a file, or "-"
  bool relocations = false;
};

ExitStatus inspect(const CommonOptions& common, const InspectOptions& options) {
  const elf::LivepatchContent content = with_hint("give a whole livepatch module (.ko), as klp-diff build writes it",
                                                  [&] { return elf::read_livepatch(options.module); });
  if (options.json != "-") {
    fmt::print("{}", report::livepatch_text(content, use_color(common, STDOUT_FILENO), options.relocations));
  }
  if (!options.json.empty()) {
    const std::string json = report::livepatch_json(content, KLP_VERSION);
    if (options.json == "-")
      fmt::print("{}", json);
    else
      write_file_atomically(options.json, json);
  }
  return ExitStatus::ok;
}

}  // namespace

void add_inspect_command(CLI::App& app, const CommonOptions& common, ExitStatus& status) {
  CLI::App* command = app.add_subcommand("inspect", "print what a livepatch module contains");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("module", options->module, "the livepatch, MODULE.ko")->required();
  command->add_flag("--relocations", options->relocations, "list every klp relocation with its place");
  command->add_option("--json", options->json, "write JSON to this file; - for stdout, without the text");
  command->callback([&common, &status, options] { status = inspect(common, *options); });
}

}  // namespace klp::tools
