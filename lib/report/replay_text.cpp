#include <fmt/format.h>

#include <algorithm>

#include "report/replay_report.h"
#include "report/text_layout.h"

namespace klp::report {
namespace {

constexpr size_t kWhatWidth = 34;

std::string outcome_text(const ReplayEvent& event) {
  if (event.outcome == "accepted") return event.faults.empty() ? "ok" : "taken, but wrong";
  if (event.outcome == "refused") return fmt::format("refused: {} ({})", event.error, event.step);
  return fmt::format("cannot be told ({})", event.step);
}

std::string event_text(const ReplayEvent& event, const Paint& paint) {
  const bool good = event.outcome == "accepted" && event.faults.empty();
  std::string text =
      fmt::format("  {}{}\n", padded(event.what, kWhatWidth), paint(good ? Ink::good : Ink::bad, outcome_text(event)));
  for (const std::string& message : event.messages) text += wrapped("    the kernel says: ", message);
  for (const std::string& fault : event.faults) text += wrapped("    - ", fault);
  if (!event.reason.empty()) text += wrapped("    - ", event.reason);
  return text;
}

}  // namespace

std::string replay_text(const ReplayReport& report, bool color) {
  const Paint paint(color);
  std::string text = fmt::format("{} in {}\n", report.file, report.release);
  for (const ReplayEvent& event : report.events) text += event_text(event, paint);
  text += report.good ? paint(Ink::good, "the kernel loads and applies it") : paint(Ink::bad, "faults were found");
  return text + "\n";
}

}  // namespace klp::report
