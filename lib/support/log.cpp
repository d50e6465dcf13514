#include "support/log.h"

#include <algorithm>
#include <map>
#include <mutex>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace klp {
namespace {

struct LogState {
  std::mutex mutex;
  std::shared_ptr<spdlog::sinks::stderr_color_sink_mt> sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  spdlog::level::level_enum level = spdlog::level::warn;
  std::vector<std::string> debug_phases;
  std::map<std::string, std::unique_ptr<spdlog::logger>> loggers;
};

LogState& state() {
  static LogState instance;
  return instance;
}

}  // namespace

void configure_logging(Verbosity verbosity, const std::vector<std::string>& debug_phases) {
  LogState& s = state();
  const std::lock_guard lock(s.mutex);
  s.level = verbosity == Verbosity::verbose ? spdlog::level::info
            : verbosity == Verbosity::quiet ? spdlog::level::err
                                            : spdlog::level::warn;
  s.debug_phases = debug_phases;
}

spdlog::logger& log(const std::string& phase) {
  LogState& s = state();
  const std::lock_guard lock(s.mutex);
  auto& slot = s.loggers[phase];
  if (!slot) {
    slot = std::make_unique<spdlog::logger>(phase, s.sink);
    slot->set_pattern("%n: %^%l%$: %v");
    const bool debug = std::find(s.debug_phases.begin(), s.debug_phases.end(), phase) != s.debug_phases.end();
    slot->set_level(debug ? spdlog::level::debug : s.level);
  }
  return *slot;
}

}  // namespace klp
