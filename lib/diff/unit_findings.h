// Findings about one unit of one object.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "support/finding.h"

namespace klp::diff {

/// Fills in what all of a unit's findings have in common. All members must outlive it.
struct UnitFindings {
  const std::string& object;
  const std::string& unit;
  Findings& findings;

  void add(std::string code, std::string_view symbol, std::string message, std::string hint,
           Severity severity = Severity::refusal) const {
    findings.add({severity, std::move(code), object, unit, std::string(symbol), std::move(message), std::move(hint)});
  }
};

}  // namespace klp::diff
