// Options that several commands share.
#pragma once

#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "support/log.h"

namespace CLI {
class App;
}

namespace klp::tools {

/// Options before or after the command's name, all commands.
struct CommonOptions {
  bool verbose = false;
  bool quiet = false;
  std::string color = "auto";             ///< auto, always, never
  std::vector<std::string> debug_phases;  ///< --debug=correlate,closure
};

/// Adds -k/--kernel and the pieces by path (--source, --config, --symvers, --vmlinux, --modules).
void add_kernel_options(CLI::App& command, kernel::KernelSelection& selection);

/// Whether text for `stream_fd` shall be coloured.
bool use_color(const CommonOptions& common, int stream_fd);

}  // namespace klp::tools
