// Units that join a build because functions of theirs call what another unit carries anew (lifting across units).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "diff/engine.h"
#include "diff/shipped_uses.h"
#include "kernel/index.h"

namespace klp::tools {

/// One unit's result for one object.
struct Analysed {
  const kernel::Unit* unit = nullptr;
  std::string object;
  diff::UnitResult result;
};

class CallerUnits {
 public:
  /// `index` must outlive it. `most`: so many units may join.
  CallerUnits(const kernel::KernelIndex& index, size_t most) : index_(index), most_(most) {}

  /// What a unit's analysis must know: how other units use its globals, and what is carried anew elsewhere. The shipped
  /// binary is decoded when a question is asked. `shipped` must outlive the units; the input must not outlive them.
  void fill(const kernel::Unit& unit, const std::string& object, diff::UnitInput& input);

  /// Takes note of the callers that the results rely on. True: there are new ones, and all units are to be analysed
  /// again, after those in `units` have been compiled. Too many are a refusal.
  bool take(const std::vector<Analysed>& results, std::vector<const kernel::Unit*>& units, Findings& findings);

  /// The findings of compiling what take() named: a caller that the patch keeps from compiling is one that cannot be
  /// lifted, and says so.
  static Findings with_cause(const Findings& of_compiling, const std::vector<Analysed>& results);

  /// Every caller must have come out as carried: one that was not found in its unit would go on calling the old code.
  void check_found(const std::vector<Analysed>& results, Findings& findings) const;

 private:
  class View;
  const kernel::Unit* unit_of(const std::string& source, const std::string& object) const;

  const kernel::KernelIndex& index_;
  size_t most_;
  std::map<std::string, std::unique_ptr<diff::ShippedUses>> shipped_;  ///< by object
  std::vector<std::unique_ptr<diff::OutsideUses>> views_;
  std::map<std::string, std::map<std::string, std::string, std::less<>>> anew_;  ///< by object: name to reason
  std::set<const kernel::Unit*> joined_;
};

}  // namespace klp::tools
