// For refusals: which file of the patched source defines what the running kernel lacks.
#pragma once

#include <filesystem>

#include "support/finding.h"

namespace klp::tools {

/// Adds to each missing-symbol refusal about a reference the file that defines the name, or that there is none.
void name_definitions(const std::filesystem::path& patched_source, Findings& findings);

}  // namespace klp::tools
