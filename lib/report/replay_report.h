// What `klp-diff verify` found, as text and as JSON.
#pragma once

#include <string>
#include <vector>

namespace klp::report {

/// One thing that happens to the livepatch in the kernel's hands.
struct ReplayEvent {
  std::string what;                   ///< "load", "zram comes"
  std::string outcome;                ///< "accepted", "refused", "unpredictable"
  std::string error;                  ///< of a refusal: "ENOEXEC"
  std::string step;                   ///< where: "relocations"
  std::string reason;                 ///< why it cannot be told
  std::vector<std::string> messages;  ///< the kernel's
  std::vector<std::string> faults;    ///< what it takes without a word
};

struct ReplayReport {
  std::string file, release, arch;
  std::vector<ReplayEvent> events;
  bool good = true;
};

std::string replay_text(const ReplayReport& report, bool color);
/// One JSON document, schema klp-diff/1, command "verify".
std::string replay_json(const ReplayReport& report, const std::string& version);

}  // namespace klp::report
