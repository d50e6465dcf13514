// One function per command: adds its options to the program and, when it was chosen, runs. Options go into plain
// structs; the library never sees argv.
#pragma once

#include "support/error.h"

namespace CLI {
class App;
}

namespace klp::tools {

struct CommonOptions;

/// Each registers a subcommand whose callback sets `status`.
void add_build_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);
void add_extract_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);
void add_inspect_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);
void add_verify_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);
void add_boot_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);
void add_compare_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);
void add_kernel_command(CLI::App& app, const CommonOptions& common, ExitStatus& status);

}  // namespace klp::tools
