// klp-diff verify: would this kernel load and apply the livepatch; a model of its loader answers.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstring>
#include <memory>

#include "commands.h"
#include "loader_kernel.h"
#include "options.h"
#include "report/replay_report.h"
#include "support/files.h"
#include "verify/replay.h"

namespace klp::tools {
namespace {

struct VerifyOptions {
  kernel::KernelSelection kernel;
  fs::path module;
  std::string json;  // a file, or "-"
};

constexpr const char* footer = R"(
What happens to the module in the kernel's hands is replayed in a model of its module loader and its livepatch core: the
file's headers and tables, version magic and symbol versions, imported symbols, relocations, the tables that are processed
at load, the functions to be replaced and their ftrace sites. First with none of the patched modules there; each of these
then comes, goes and comes again. Then with all of them there. The kernel's symbols, exports, config and modules are those
of -k; how its loader differs from others is read from its image.

"the kernel says" is what it logs when it refuses, with <...> for addresses. What it takes without a word and what is wrong
all the same is listed too.

Exit status: 0 when the kernel loads and applies it each time, 1 when faults were found.

Example:
  klp-diff verify livepatch_fix.ko -k debian:6.1-cloud-amd64)";

report::ReplayEvent to_report(const verify::ReplayedEvent& event) {
  const verify::LoadResult& result = event.result;
  report::ReplayEvent out;
  out.what = event.what;
  out.outcome = to_string(result.outcome);
  if (result.error != 0) {
    const char* name = strerrorname_np(result.error);
    out.error = name == nullptr ? std::to_string(result.error) : name;
  }
  out.step = result.step;
  out.reason = result.reason;
  out.messages = result.messages;
  out.faults = result.faults;
  return out;
}

ExitStatus run_verify(const CommonOptions& common, const VerifyOptions& options) {
  const std::string content = read_file(options.module);
  const auto* start = reinterpret_cast<const std::byte*>(content.data());
  const std::vector<std::byte> file(start, start + content.size());
  const kernel::Kernel kernel = kernel::open_kernel(options.kernel);
  const LoaderKernel loader(kernel);
  report::ReplayReport report{options.module.string(), kernel.release, kernel.arch, {}, true};
  for (const verify::ReplayedEvent& event : verify::replay(loader.target(), file)) {
    report.events.push_back(to_report(event));
    report.good = report.good && event.good();
  }
  if (options.json != "-") fmt::print("{}", report::replay_text(report, use_color(common, STDOUT_FILENO)));
  if (!options.json.empty()) {
    const std::string json = report::replay_json(report, KLP_VERSION);
    if (options.json == "-")
      fmt::print("{}", json);
    else
      write_file_atomically(options.json, json);
  }
  return report.good ? ExitStatus::ok : ExitStatus::refused;
}

}  // namespace

void add_verify_command(CLI::App& app, const CommonOptions& common, ExitStatus& status) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "tell whether a kernel would load and apply a livepatch module");
  command->footer(footer);
  command->add_option("module", options->module, "the livepatch, MODULE.ko")->required();
  add_kernel_options(*command, options->kernel);
  command->add_option("--json", options->json, "write JSON to this file; - for stdout, without the text");
  command->callback([&common, &status, options] { status = run_verify(common, *options); });
}

}  // namespace klp::tools
