// Logging: one named logger a phase, on stderr. Results never go through here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <spdlog/logger.h>

namespace klp {

enum class Verbosity { quiet, normal, verbose };

/// Sets the level of all loggers; `debug_phases` (from --debug=correlate,closure) get debug level whatever the level
/// is. Call once, before the first log().
void configure_logging(Verbosity verbosity, const std::vector<std::string>& debug_phases);

/// The logger of a phase ("compile", "correlate", "fetch", ...), made at first use. Thread-safe.
spdlog::logger& log(const std::string& phase);

}  // namespace klp
