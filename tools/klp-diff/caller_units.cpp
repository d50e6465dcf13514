#include "caller_units.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "support/log.h"

namespace klp::tools {

/// The rest of an object, as one of its units sees it.
class CallerUnits::View : public diff::OutsideUses {
 public:
  View(CallerUnits& owner, const kernel::Unit& unit, const diff::UnitInput& input)
      : owner_(owner), unit_(unit), object_(input.object), shipped_(input.shipped), sizes_(input.table_sizes) {}

  std::vector<diff::OutsideUse> of(const std::string& name) const override {
    auto& uses = owner_.shipped_[object_];
    if (uses == nullptr) {
      log("lift").info("looking for the callers of {} in all of {}", name, object_);
      uses = std::make_unique<diff::ShippedUses>(*shipped_, sizes_);
    }
    std::vector<diff::OutsideUse> result;
    for (diff::OutsideUse use : uses->of(name)) {
      const kernel::Unit* user = owner_.unit_of(use.unit, object_);
      if (user == &unit_) continue;
      if (user == nullptr && use.kind == diff::OutsideUse::Kind::call) {
        use.kind = diff::OutsideUse::Kind::other;
        use.place = fmt::format("{} calls it, of which no unit is known ({})", use.place, use.unit);
      }
      use.unit = user != nullptr ? user->unit : "";
      result.push_back(std::move(use));
    }
    return result;
  }

 private:
  CallerUnits& owner_;
  const kernel::Unit& unit_;
  std::string object_;
  const elf::SymbolIndex* shipped_;
  diff::TableSizes sizes_;
};

/// DWARF names a source by its path in the machine that built it, a module's FILE symbol by its last part only: that
/// one counts when the object has no second unit of the name.
const kernel::Unit* CallerUnits::unit_of(const std::string& source, const std::string& object) const {
  if (source.empty()) return nullptr;
  const kernel::Unit* found = nullptr;
  const bool bare = source.find('/') == std::string::npos;
  for (const auto& [name, unit] : index_.units()) {
    if (std::find(unit.objects.begin(), unit.objects.end(), object) == unit.objects.end()) continue;
    if (unit.source == source) return &unit;
    if (bare ? !unit.source.ends_with("/" + source) : !source.ends_with("/" + unit.source)) continue;
    if (bare && found != nullptr) return nullptr;
    if (found == nullptr || unit.source.size() > found->source.size()) found = &unit;
  }
  return found;
}

void CallerUnits::fill(const kernel::Unit& unit, const std::string& object, diff::UnitInput& input) {
  views_.push_back(std::make_unique<View>(*this, unit, input));
  input.outside = views_.back().get();
  input.anew = anew_[object];
}

bool CallerUnits::take(const std::vector<Analysed>& results, std::vector<const kernel::Unit*>& units,
                       Findings& findings) {
  bool more = false;
  std::map<std::string, std::set<std::string>> callers;  // of what: "caller (unit)"
  std::set<const kernel::Unit*> wanted;
  for (const Analysed& analysed : results) {
    for (const diff::OutsideCaller& caller : analysed.result.outside) {
      more |= anew_[analysed.object].emplace(caller.callee, caller.because).second;
      const kernel::Unit* unit = &index_.units().at(caller.unit);
      const bool present =
          std::any_of(results.begin(), results.end(), [&](const Analysed& other) { return other.unit == unit; });
      if (!present) wanted.insert(unit);
      callers[caller.callee].insert(fmt::format("{} ({})", caller.function, caller.unit));
    }
  }
  if (joined_.size() + wanted.size() > most_) {
    for (const auto& [callee, list] : callers) {
      findings.add({Severity::refusal,
                    "not-traceable",
                    {},
                    {},
                    callee,
                    fmt::format("{} changed, has no ftrace site, and is called from more files than shall join the "
                                "build ({}): {}",
                                callee, most_, fmt::join(list, ", ")),
                    fmt::format("change code that calls it instead, or give --max-caller-units {}",
                                joined_.size() + wanted.size())});
    }
    return false;
  }
  for (const auto& [name, unit] : index_.units()) {
    if (wanted.count(&unit) == 0) continue;
    units.push_back(&unit);
    joined_.insert(&unit);
  }
  return more || !units.empty();
}

Findings CallerUnits::with_cause(const Findings& of_compiling, const std::vector<Analysed>& results) {
  Findings all;
  for (Finding finding : of_compiling.list()) {
    for (const Analysed& analysed : results) {
      for (const diff::OutsideCaller& caller : analysed.result.outside) {
        if (finding.code != "does-not-compile" || caller.unit != finding.unit) continue;
        finding.code = "not-traceable";
        finding.symbol = caller.callee;
        finding.message = fmt::format("{} and has no ftrace site; its caller {} cannot take its place: {}",
                                      caller.because, caller.function, finding.message);
        finding.hint = "keep the function as its callers know it, or change them in the same patch";
      }
    }
    all.add(std::move(finding));
  }
  return all;
}

void CallerUnits::check_found(const std::vector<Analysed>& results, Findings& findings) const {
  for (const Analysed& analysed : results) {
    for (const diff::OutsideCaller& caller : analysed.result.outside) {
      const bool found = std::any_of(results.begin(), results.end(), [&](const Analysed& other) {
        const auto& functions = other.result.functions;
        return other.unit->unit == caller.unit && other.object == analysed.object &&
               (other.result.findings.has_refusal() ||
                std::any_of(functions.begin(), functions.end(), [&](const diff::FunctionReport& f) {
                  return f.name == caller.function && f.change != "removed";
                }));
      });
      if (found) continue;
      findings.add({Severity::refusal, "not-traceable", analysed.object, analysed.unit->unit, caller.callee,
                    fmt::format("the running kernel's {} calls it, but {} as compiled here does not", caller.function,
                                caller.unit),
                    "change code that calls it instead"});
    }
  }
}

}  // namespace klp::tools
