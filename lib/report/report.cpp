#include "report/report.h"

#include <algorithm>

namespace klp::report {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::ok:
      return "ok";
    case Outcome::refused:
      return "refused";
    case Outcome::unchanged:
      return "unchanged";
    case Outcome::failed:
      break;
  }
  return "failed";
}

long total_ms(const Report& report) {
  long total = 0;
  for (const auto& [phase, ms] : report.timing_ms) total += ms;
  return total;
}

void PhaseClock::begin(const std::string& phase, Clock::time_point now) {
  if (!phases_.empty()) {
    phases_[running_].second += now - since_;
    since_ = now;
  }
  const auto known = std::find_if(phases_.begin(), phases_.end(), [&](const auto& p) { return p.first == phase; });
  running_ = static_cast<size_t>(known - phases_.begin());
  if (known == phases_.end()) phases_.emplace_back(phase, Clock::duration{});
}

std::vector<std::pair<std::string, long>> PhaseClock::finish(Clock::time_point now) {
  if (!phases_.empty()) phases_[running_].second += now - since_;
  since_ = now;
  // Each phase gets the difference of two rounded running sums: no milliseconds are lost or counted twice.
  std::vector<std::pair<std::string, long>> result;
  Clock::duration sum{};
  long rounded = 0;
  for (const auto& [name, duration] : phases_) {
    sum += duration;
    const long next = std::chrono::round<std::chrono::milliseconds>(sum).count();
    result.emplace_back(name, next - rounded);
    rounded = next;
  }
  return result;
}

}  // namespace klp::report
