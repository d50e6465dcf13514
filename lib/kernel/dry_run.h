// What kbuild would do: the compile commands, the modules' parts, the generated sources, read off `make -n`.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/index.h"

namespace klp::kernel {

/// What a dry run's output tells.
struct DryRun {
  std::map<std::string, Unit> units;  ///< by name, with their objects
  std::vector<std::string>
      generated;  ///< sources and headers that kbuild generates while it builds ("security/selinux/flask.h")
};
DryRun parse_dry_run(std::string_view output);

/// Runs kbuild dry in the prepared tree and adds the units that preparation already made (bounds.s, asm-offsets.s),
/// from their .cmd files. Takes about 12 s. Errors: no compile command came out.
DryRun dry_run(const Kernel& kernel);

/// Makes those of `files` that are not there yet, with kbuild's own rules: units that include them can then be compiled
/// alone. What cannot be made is logged: its units fail to compile later, and say so.
void generate_sources(const Kernel& kernel, const std::vector<std::string>& files);

}  // namespace klp::kernel
