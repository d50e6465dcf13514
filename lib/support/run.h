// Running other programs, and interruption.
//
// SIGINT and SIGTERM set a flag; running children (each in its own process group) are ended, and the flag is raised as
// an Error with status 130, so that every scope cleans up on the way out.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "support/files.h"

namespace klp {

struct RunOptions {
  fs::path directory;                              ///< working directory; empty: the current one
  std::map<std::string, std::string> environment;  ///< added to ours
  std::string input;                               ///< standard input
  bool merge_output = true;                        ///< stderr into output; else stderr goes to `error_output`
  std::optional<std::chrono::seconds> time_limit;  ///< the child is ended at the limit: timed_out
};

struct RunResult {
  int status = 0;  ///< exit status, or 128 + signal
  bool timed_out = false;
  std::string output;
  std::string error_output;
};

/// Installs the handlers of SIGINT and SIGTERM. Called once by main.
void install_interrupt_handlers();

/// True after SIGINT or SIGTERM.
bool interrupted();

/// Throws Error with ExitStatus::interrupted after SIGINT or SIGTERM.
void throw_if_interrupted();

/// Runs a program found in PATH (or by path) and waits. LC_ALL=C is set for it. Needs install_interrupt_handlers() for
/// interruption to work. Errors: the program is missing (the message names it), fork fails, interruption.
/// A non-zero exit status is not an error here. Thread-safe.
RunResult run(const std::vector<std::string>& command, const RunOptions& options = {});

/// Like run(), but a non-zero status is an Error that shows the command's last lines of output.
std::string run_checked(const std::vector<std::string>& command, const RunOptions& options = {});

/// The path of a program in PATH, if there is one.
std::optional<fs::path> find_program(const std::string& name);

}  // namespace klp
