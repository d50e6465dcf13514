// The part of the report about units that a touched header reaches without the patch touching them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace klp::report {

struct HeaderReach {
  struct Unit {
    std::string unit;
    std::string header;  ///< a touched one that it includes
    /// "names", "tokens": the proof that it is not affected; "equal": compiled, and the objects are equal;
    /// "changed": compiled, and its code is judged like that of the units that the patch touches; "kept": does not
    /// compile as it uses what the patch removes, and keeps its code; "refused".
    std::string result;
    std::string why;  ///< what stood against a proof; may be empty
  };
  std::vector<Unit> units;  ///< all, by name

  uint64_t count(const std::string& result) const {
    uint64_t number = 0;
    for (const Unit& unit : units) number += unit.result == result ? 1 : 0;
    return number;
  }
};

}  // namespace klp::report
