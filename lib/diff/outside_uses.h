// How the rest of the shipped object uses what one unit defines: the engine's question to those who can look there.
#pragma once

#include <string>
#include <vector>

namespace klp::diff {

/// One use of a global by another unit of the same object.
struct OutsideUse {
  enum class Kind {
    call,        ///< a direct call or jump
    start_call,  ///< the same, by code that has run already
    other        ///< its address is stored or taken, or assembly code uses it
  };
  Kind kind = Kind::other;
  std::string unit;      ///< "fs/proc/meminfo.o"; empty when it is not known
  std::string function;  ///< the function or variable that has the use; empty when no symbol covers it
  std::string place;     ///< for messages
};

class OutsideUses {
 public:
  virtual ~OutsideUses() = default;

  /// All uses of a global function or variable by other units than the one that defines it, in a stable order.
  virtual std::vector<OutsideUse> of(const std::string& name) const = 0;
};

/// A caller that must be carried with its own unit, as it calls a global that is carried anew here.
struct OutsideCaller {
  std::string unit, function;
  std::string callee;
  std::string because;  ///< why the callee is carried
};

}  // namespace klp::diff
