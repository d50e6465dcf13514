// klp-diff compare: what differs between two builds.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <map>
#include <memory>
#include <thread>

#include "change_details.h"
#include "code_view.h"
#include "commands.h"
#include "compare_facts.h"
#include "compare_function.h"
#include "compare_inlined.h"
#include "compare_renamed.h"
#include "compare_sides.h"
#include "options.h"
#include "report/compare_filter.h"
#include "report/compare_livepatch.h"
#include "report/compare_report.h"
#include "support/files.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::tools {
namespace {

struct CompareOptions {
  std::string before, after;
  std::string symbols_before, symbols_after;
  std::string json, html;
  bool all = false, stat = false, why = false, livepatch = false;
  unsigned jobs = 0;
  std::string function;
  SourceTrees sources;
  report::CompareFilter filter;
};

std::vector<report::ComparedBinary> listed(const ComparedSide& before, const ComparedSide& after) {
  std::vector<report::ComparedBinary> result;
  for (const auto& [name, path] : before.binaries())
    result.push_back({name, after.binaries().count(name) == 0, false, {}, {}});
  for (const auto& [name, path] : after.binaries()) {
    if (before.binaries().count(name) == 0) result.push_back({name, false, true, {}, {}});
  }
  return result;
}

/// A single file may have another name on the first side, and a module may have got another one.
std::string old_name(const ComparedSide& before, const report::ComparedBinary& binary) {
  if (!binary.old_name.empty()) return binary.old_name;
  return before.is_single() ? before.binaries().begin()->first : binary.name;
}

void compare_binary(const ComparedSide& before, const ComparedSide& after, report::ComparedBinary& binary,
                    BinaryFacts& facts) {
  const std::string before_name = old_name(before, binary);
  const fs::path &a = before.binaries().at(before_name), &b = after.binaries().at(binary.name);
  if (have_equal_bytes(a, b)) {
    read_binary(a);  // Two equal files that are no binaries are no equal builds.
    return;
  }
  const BinaryPair pair = read_pair(a, b);
  binary.difference = compare_pair(pair, line_sources(before, before_name, after, binary.name));
  if (!pair.units) tell_inlined(before, before_name, after, binary);
  facts.add(pair.before, pair.after, binary);
}

/// Binaries that both sides have, several at a time.
template <typename Look>
void for_each_common(std::vector<report::ComparedBinary>& binaries, std::string_view what, unsigned jobs, Look look) {
  std::optional<Progress> progress;
  if (binaries.size() > 1) progress.emplace(std::string(what), binaries.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < binaries.size(); i = next++) {
      throw_if_interrupted();
      report::ComparedBinary& binary = binaries[i];
      if (progress) progress->advance(binary.name);
      if (!binary.only_before && !binary.only_after) look(binary);
    }
  };
  if (jobs == 0) jobs = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::future<void>> workers;
  for (unsigned n = 0; n < std::min<size_t>(jobs, binaries.size()); ++n)
    workers.push_back(std::async(std::launch::async, work));
  for (auto& worker : workers) worker.get();
}

/// Of the terminal, or as the environment says.
size_t text_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0)
    return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const unsigned long width = columns != nullptr ? std::strtoul(columns, nullptr, 10) : 0;
  constexpr unsigned long kMost = 1000, kUsual = 160;
  return width != 0 && width <= kMost ? width : kUsual;
}

ExitStatus compare_function(const CommonOptions& common, const CompareOptions& options) {
  const ComparedSide before(options.before, options.symbols_before), after(options.after, options.symbols_after);
  check(before.is_single() == after.is_single(), "{} is one file, the other side is not",
        before.is_single() ? options.before : options.after);
  report::FunctionReport report = look_at_function(before, after, {options.function, options.sources, options.all});
  report.version = KLP_VERSION;
  report.before = options.before;
  report.after = options.after;
  if (options.json != "-")
    fmt::print("{}", report::function_text(report, {use_color(common, STDOUT_FILENO), text_width()}));
  if (options.json == "-")
    fmt::print("{}", report::function_json(report));
  else if (!options.json.empty())
    write_file_atomically(options.json, report::function_json(report));
  check(std::fflush(stdout) == 0, "cannot write to standard output");
  return report::is_same(report) ? ExitStatus::ok : ExitStatus::refused;
}

report::CompareReport compared(const CompareOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  report::check_filter(options.filter);
  const ComparedSide before(options.before, options.symbols_before), after(options.after, options.symbols_after);
  check(before.is_single() == after.is_single(), "{} is one file, the other side is not",
        before.is_single() ? options.before : options.after);
  report::CompareReport report{KLP_VERSION, options.before, options.after, {}, 0};
  auto facts = std::async(std::launch::async, [&] { return read_facts(before, after); });
  BinaryFacts of_binaries;
  if (before.is_single())
    report.binaries = {{after.binaries().begin()->first, false, false, {}, {}}};
  else
    report.binaries = listed(before, after);
  if (!before.is_single()) join_renamed(before, after, report.binaries);
  for_each_common(report.binaries, "comparing", options.jobs,
                  [&](report::ComparedBinary& binary) { compare_binary(before, after, binary, of_binaries); });
  report.facts = facts.get();
  report.facts.compiler = of_binaries.compiler();
  report::apply_filter(options.filter, report);
  const bool with_code = !options.html.empty();
  if (options.why || with_code) {
    for_each_common(report.binaries, "looking closer", options.jobs, [&](report::ComparedBinary& binary) {
      if (!binary.difference.functions.empty())
        add_details(before, old_name(before, binary), after, binary, with_code, options.sources);
    });
  }
  report.total_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
  return report;
}

ExitStatus compare(const CommonOptions& common, const CompareOptions& options) {
  if (!options.function.empty()) return compare_function(common, options);
  if (options.html.empty() && (!options.sources.before.empty() || !options.sources.after.empty()))
    throw Error("--source-a and --source-b need --function or --html", "", ExitStatus::usage);
  const report::CompareReport report = compared(options);
  const report::CompareTextOptions text_options{use_color(common, STDOUT_FILENO), options.all, options.stat};
  if (options.json != "-") {
    fmt::print("{}", report::compare_text(report, text_options));
    if (options.livepatch) fmt::print("{}", report::compare_livepatch_text(report, text_options));
  }
  if (options.json == "-")
    fmt::print("{}", report::compare_json(report));
  else if (!options.json.empty())
    write_file_atomically(options.json, report::compare_json(report));
  if (!options.html.empty()) write_file_atomically(options.html, report::compare_html(report));
  check(std::fflush(stdout) == 0, "cannot write to standard output");
  return report::is_same(report) ? ExitStatus::ok : ExitStatus::refused;
}

/// What is told of the differences, and how.
void add_view_options(CLI::App& command, CompareOptions& options) {
  CLI::Option* stat = command.add_flag("--stat", options.stat, "a line for each binary, nothing more");
  CLI::Option* why = command.add_flag("--why", options.why,
                                      "which source lines each function's changes come from (debug information)");
  CLI::Option* html = command.add_option(
      "--html", options.html, "write one page to this file: search, filters, the changed functions side by side");
  CLI::Option* function =
      command.add_option("--function", options.function,
                         "one function side by side, with source lines; BINARY:NAME where several have it");
  function->excludes(stat)->excludes(why)->excludes(html);
  command
      .add_option(
          "--source-a", options.sources.before,
          "source tree of the first build, for the lines' text and diff (default: a fetched kernel's; with --html "
          "only if given)")
      ->check(CLI::ExistingDirectory);
  command.add_option("--source-b", options.sources.after, "source tree of the second build")
      ->check(CLI::ExistingDirectory);
}

}  // namespace

void add_compare_command(CLI::App& app, const CommonOptions& common, ExitStatus& status) {
  CLI::App* command = app.add_subcommand("compare", "which functions and variables differ between two builds");
  auto options = std::make_shared<CompareOptions>();
  const char* what =
      "an object, a module, vmlinux, a directory of a build or of unpacked packages, a .deb, or a kernel";
  command->add_option("before", options->before, what)->required();
  command->add_option("after", options->after, "the other one, of the same kind")->required();
  command->add_flag("--all", options->all, "list every function and variable that differs");
  add_view_options(*command, *options);
  command->add_option("--json", options->json, "write JSON to this file; - for stdout, without the text");
  command->add_flag("--livepatch", options->livepatch,
                    "tell what a livepatch could carry of it, and what it would take to bring the first build to the "
                    "second without a reboot");
  const auto add_classes = [&](const char* name, std::vector<std::string>& classes, const char* text) {
    command->add_option(name, classes, text)->delimiter(',')->allow_extra_args(false);
  };
  add_classes("--only", options->filter.only,
              "tell these differences only: functions, variables, binaries, exports, types, config, compiler; "
              "changed, new, removed, moved, renamed");
  add_classes("--ignore", options->filter.ignore, "do not tell these differences");
  add_classes("--strict", options->filter.strict,
              "count this noise as differences: build-information, line-numbers, line-numbers-in-tables, "
              "moved-to-another-file, per-cpu-addresses");
  command->add_option("-j,--jobs", options->jobs, "binaries compared at a time (default: all processors)");
  command->add_option("--symbols-a", options->symbols_before,
                      "System.map, or a copy of /proc/kallsyms, of the first build's vmlinux if that is stripped");
  command->add_option("--symbols-b", options->symbols_after, "the same for the second build");
  command->callback([&common, &status, options] { status = compare(common, *options); });
}

}  // namespace klp::tools
