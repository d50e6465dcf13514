// A livepatch's whole life with the modules that it patches, replayed in the model of the loader (verify/loader.h).
#pragma once

#include <string>
#include <vector>

#include "verify/loader.h"

namespace klp::verify {

struct ReplayedEvent {
  std::string what;  ///< "load", "load, with zram there", "zram comes", "zram goes", "zram comes again"
  LoadResult result;

  bool good() const { return result.outcome == Outcome::accepted && result.faults.empty(); }
};

/// Loads the livepatch with none of the patched modules there, lets each of these come, go, and come again twice, then
/// loads it with all of them there. What the livepatch itself imports from modules is always there. Ends early where a
/// load is not accepted. Faults that were told once are not told again.
std::vector<ReplayedEvent> replay(const TargetKernel& kernel, const std::vector<std::byte>& file);

}  // namespace klp::verify
