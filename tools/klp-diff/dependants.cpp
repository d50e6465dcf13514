// Cheapest first: names, tokens, compilation. What a type's layout is comes from the debug information of units that
// are compiled anyway; when none of them knows the type, from one of the reached ones.
#include "dependants.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "elf/elf_object.h"
#include "elf/layout_compare.h"
#include "elf/same_content.h"
#include "elf/types.h"
#include "kernel/header_reach.h"
#include "support/log.h"
#include "support/run.h"

namespace klp::tools {
namespace {

using kernel::Proof;
using kernel::ReachedUnit;

constexpr size_t kManyUnits = 32;  // that work on a type whose layout changes
constexpr size_t kProbes = 3;      // units that are compiled to learn a type's layout

Finding refusal(std::string code, const ReachedUnit& unit, std::string message, std::string hint) {
  return {Severity::refusal, std::move(code), {}, unit.unit->unit, {}, std::move(message), std::move(hint)};
}

bool is_generated(const kernel::Unit& unit) {
  return !unit.unit.ends_with(".o");
}
bool is_assembly(const kernel::Unit& unit) {
  return unit.source.ends_with(".S");
}
bool is_special(const kernel::Unit& unit) {
  return kernel::kind_of_path(unit.source) == kernel::PathKind::special_image;
}

/// Compiled and compared, and not refused if it differs.
bool can_be_judged(const kernel::Unit& unit) {
  return !is_generated(unit) && !is_assembly(unit) && !is_special(unit);
}

bool equal_objects(const UnitPair& pair) {
  const std::string a = read_file(pair.original), b = read_file(pair.patched);
  return elf::same_but_for_debug_info(std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
}

/// Layouts of types in compiled pairs of units, original against patched.
class Layouts {
 public:
  explicit Layouts(const std::vector<UnitPair>& pairs) {
    for (const UnitPair& pair : pairs) add(pair);
  }

  void add(const UnitPair& pair) {
    tables_.push_back({elf::TypeTable::from_dwarf(elf::ElfObject::read(pair.original)),
                       elf::TypeTable::from_dwarf(elf::ElfObject::read(pair.patched))});
  }

  /// None: no unit has the type.
  std::optional<elf::LayoutComparison> compare(const kernel::GrownType& type) const {
    for (const auto& [original, patched] : tables_) {
      for (const std::string& name : {"struct " + type.tag, "union " + type.tag}) {
        if (original.find(name) == 0 || patched.find(name) == 0) continue;
        return elf::LayoutComparer(original, patched).compare(name);
      }
    }
    return std::nullopt;
  }

  bool fills_hole(const kernel::GrownType& type) const {
    const auto layout = compare(type);
    if (!layout || layout->state == elf::LayoutState::changed) return false;
    return layout->old_size == layout->new_size && layout->old_size >= kernel::kSmallestFilled &&
           std::all_of(layout->changes.begin(), layout->changes.end(), [&](const elf::LayoutChange& change) {
             return change.kind == elf::LayoutChange::Kind::added_in_hole && type.members.count(change.member) != 0;
           });
  }

 private:
  std::vector<std::pair<elf::TypeTable, elf::TypeTable>> tables_;
};

class Dependants {
 public:
  Dependants(kernel::Workspace& workspace, const DependantInput& input, std::vector<UnitPair>& pairs,
             Findings& findings)
      : workspace_(workspace),
        input_(input),
        trees_{workspace.source_tree(), workspace.patched_tree()},
        pairs_(pairs),
        findings_(findings) {}

  report::HeaderReach run() {
    std::vector<const kernel::Unit*> compiled;
    for (const UnitPair& pair : pairs_) compiled.push_back(pair.unit);
    reached_ = kernel::reached_units(workspace_.index(), trees_, input_.touched, compiled);
    if (reached_.empty()) return {};
    const size_t touched = pairs_.size();
    for (size_t i = 0; i < reached_.size(); ++i) results_.push_back({});
    prove();
    if (refuse_layout(touched)) return report();
    if (refuse_others()) {
      leave_rest();
    } else {
      compile_rest();
    }
    return report();
  }

 private:
  void prove() {
    const std::vector<kernel::GrownType> grown = kernel::grown_types(trees_, input_.touched);
    std::optional<Layouts> layouts;
    if (!grown.empty()) layouts.emplace(pairs_);
    for (const kernel::GrownType& type : grown) probe(type, *layouts);
    const auto fills_hole = [&](const kernel::GrownType& type) { return layouts && layouts->fills_hole(type); };
    for (const kernel::GrownType& type : grown) {
      const auto layout = layouts->compare(type);
      if (layout && layout->state == elf::LayoutState::changed) changed_.push_back(*layout);
    }
    kernel::prove_by_names(reached_, workspace_.index(), trees_, input_.touched, fills_hole);
    for (const kernel::GrownType& type : grown) filled_[type.tag] = fills_hole(type);
    if (!changed_.empty() && left().size() > kManyUnits) return;  // refused
    prove_by_tokens(fills_hole);
  }

  /// Compiles reached units until one knows the type.
  void probe(const kernel::GrownType& type, Layouts& layouts) {
    size_t tried = 0;
    for (size_t i = 0; i < reached_.size() && tried < kProbes && !layouts.compare(type); ++i) {
      const kernel::Unit& unit = *reached_[i].unit;
      if (!can_be_judged(unit) || results_[i] != "") continue;
      ++tried;
      if (const UnitPair* pair = compile(i)) layouts.add(*pair);
    }
  }

  std::vector<size_t> left() const {
    std::vector<size_t> result;
    for (size_t i = 0; i < reached_.size(); ++i) {
      if (reached_[i].proof == Proof::none && results_[i].empty()) result.push_back(i);
    }
    return result;
  }

  /// Where the unit's own source names what changed, its tokens have changed too; to find that out costs as much as to
  /// compile it. What cannot be compiled gets its chance all the same.
  void prove_by_tokens(const kernel::FillsHole& fills_hole) {
    std::vector<size_t> rest = left();
    rest.erase(std::remove_if(rest.begin(), rest.end(),
                              [&](size_t i) { return reached_[i].names && can_be_judged(*reached_[i].unit); }),
               rest.end());
    std::vector<const kernel::Unit*> units;
    for (const size_t i : rest) units.push_back(reached_[i].unit);
    workspace_.preprocess(units, input_.compile, [&](size_t at, const std::string& a, const std::string& b) {
      ReachedUnit& unit = reached_[rest[at]];
      std::string why;
      if (!a.empty() && kernel::same_tokens(a, b, fills_hole, why)) unit.proof = Proof::tokens;
    });
  }

  /// True when the patch is refused for a layout before hundreds of units are compiled.
  bool refuse_layout(size_t touched) {
    const size_t units = left().size();
    const bool accepted = std::any_of(input_.accept.begin(), input_.accept.end(),
                                      [](const std::string& code) { return code.starts_with("changed-layout"); });
    if (changed_.empty() || units <= kManyUnits || accepted) return false;
    for (const elf::LayoutComparison& layout : changed_) {
      std::string what;
      for (size_t i = 0; i < layout.changes.size() && i < 3; ++i)
        what += (i == 0 ? ": " : "; ") + layout.changes[i].text();
      findings_.add({Severity::refusal,
                     "changed-layout",
                     {},
                     reached_.front().header,
                     layout.name.substr(layout.name.find(' ') + 1),  // as diff::check_types names it, for --accept
                     fmt::format("{} has {} bytes instead of {}{}; {} units that the patch does not touch work on it",
                                 layout.name, layout.new_size, layout.old_size, what, units),
                     "objects made before the patch keep the old layout: leave the type as it is, and keep what is new "
                     "in a shadow variable (klp_shadow_alloc)"});
    }
    for (const size_t i : left()) results_[i] = "refused";
    log("build").info("{} units of the patch, {} reached ones not compiled", touched, units);
    return true;
  }

  /// What cannot be redirected even if it changes. True when there is any.
  bool refuse_others() {
    bool refused = false;
    for (const size_t i : left()) {
      const ReachedUnit& unit = reached_[i];
      if (!is_generated(*unit.unit) && !is_assembly(*unit.unit)) continue;
      refused = true;
      results_[i] = "refused";
      if (is_generated(*unit.unit)) {
        findings_.add(refusal("header-reach", unit,
                              fmt::format("{} is made from {}, which the change of {} reaches ({}): what is generated "
                                          "from it is part of the kernel's build",
                                          unit.unit->unit, unit.unit->source, unit.header, unit.why),
                              "make the change in the .c files that need it instead of in the header"));
      } else {
        findings_.add(refusal(
            "asm-source", unit,
            fmt::format("{} changes with {} ({}), and is assembly: it has no function that the kernel could redirect",
                        unit.unit->source, unit.header, unit.why),
            "make the change in the C code instead of in the header"));
      }
    }
    return refused;
  }

  /// The patch is refused, whatever the rest compiles to; the units that it touches have been judged already.
  void leave_rest() {
    const std::vector<size_t> rest = left();
    if (rest.empty()) return;
    for (const size_t i : rest) results_[i] = "refused";
    findings_.add(
        {Severity::note,
         "header-reach",
         {},
         {},
         {},
         fmt::format("{} not compiled: the patch is refused anyway",
                     rest.size() == 1 ? "1 other unit that is not proven unaffected was"
                                      : fmt::format("{} other units that are not proven unaffected were", rest.size())),
         {}});
  }

  void compile_rest() {
    const std::vector<size_t> rest = left();
    if (rest.empty()) return;
    log("build").info("{} of {} units that a touched header reaches are not proven unaffected: compiling them",
                      rest.size(), reached_.size());
    std::vector<const kernel::Unit*> units;
    for (const size_t i : rest) units.push_back(reached_[i].unit);
    Findings of_compiling;
    std::map<const kernel::Unit*, kernel::CompiledUnit> compiled;
    for (const kernel::CompiledUnit& unit : workspace_.compile(units, input_.touched, input_.compile, of_compiling))
      compiled[unit.unit] = unit;
    for (const size_t i : rest) {
      const auto found = compiled.find(reached_[i].unit);
      if (found != compiled.end()) {
        judge(i, {found->first, found->second.original, found->second.patched, {}, found->second.as_shipped});
      } else {
        results_[i] = "refused";
      }
    }
    add_findings(of_compiling);
  }

  /// One unit, for its types; null when it does not compile (which is told with the rest).
  const UnitPair* compile(size_t i) {
    Findings ignored;
    for (const kernel::CompiledUnit& unit :
         workspace_.compile({reached_[i].unit}, input_.touched, input_.compile, ignored)) {
      probes_.push_back({unit.unit, unit.original, unit.patched, {}, unit.as_shipped});
      return &probes_.back();
    }
    return nullptr;
  }

  void judge(size_t i, UnitPair pair) {
    const ReachedUnit& unit = reached_[i];
    if (equal_objects(pair)) {
      results_[i] = "equal";
      return;
    }
    if (is_special(*unit.unit)) {
      results_[i] = "refused";
      findings_.add(refusal(
          "special-image", unit,
          fmt::format("{} changes with {}, and is not part of the running kernel's code", unit.unit->unit, unit.header),
          "only a reboot into a fixed kernel changes that image"));
      return;
    }
    results_[i] = "changed";
    pair.notes.push_back(fmt::format("includes {}{}", unit.header, unit.why.empty() ? "" : "; " + unit.why));
    pairs_.push_back(std::move(pair));
  }

  void add_findings(const Findings& of_compiling) {
    const std::set<std::string> kept = units_that_keep_their_code(of_compiling);
    for (Finding finding : of_compiling.list()) {
      const auto unit = reached(finding);
      if (unit == reached_.end()) {
        findings_.add(finding);
      } else if (kept.count(finding.unit) != 0) {
        results_[static_cast<size_t>(unit - reached_.begin())] = "kept";
        findings_.add({Severity::warning,
                       "does-not-compile",
                       {},
                       unit->unit->unit,
                       {},
                       fmt::format("{} {}, which the patch takes out of {}: it keeps the code that it has",
                                   unit->unit->source, unit->why, unit->header),
                       "if the fix is needed there too, add the change of this file to the patch"});
      } else {
        finding.message = fmt::format("the patch changes {} but not {}, which includes it: {}", unit->header,
                                      unit->unit->source, finding.message);
        finding.hint =
            "add to the patch what it changes in the units that use the header, or keep what they use as it is";
        findings_.add(finding);
      }
    }
  }

  /// The reached unit that a finding says does not compile; the end for all other findings.
  std::vector<ReachedUnit>::iterator reached(const Finding& finding) {
    if (finding.code != "does-not-compile") return reached_.end();
    return std::find_if(reached_.begin(), reached_.end(),
                        [&](const ReachedUnit& r) { return r.unit->unit == finding.unit; });
  }

  /// Where all that speaks against a unit is an inline function that is gone, nothing of the new code is in it.
  std::set<std::string> units_that_keep_their_code(const Findings& of_compiling) {
    std::vector<ReachedUnit> failing;
    for (const Finding& finding : of_compiling.list()) {
      if (const auto unit = reached(finding); unit != reached_.end())
        failing.push_back({unit->unit, unit->header, Proof::none, {}, false});
    }
    std::set<std::string> result;
    if (failing.empty()) return result;
    kernel::prove_by_names(failing, workspace_.index(), trees_, input_.touched, fills_hole_, kernel::Removed::ignored);
    for (const ReachedUnit& unit : failing) {
      if (unit.proof == Proof::names) result.insert(unit.unit->unit);
    }
    return result;
  }

  report::HeaderReach report() const {
    report::HeaderReach result;
    for (size_t i = 0; i < reached_.size(); ++i) {
      const ReachedUnit& unit = reached_[i];
      const std::string by = unit.proof == Proof::names    ? "names"
                             : unit.proof == Proof::tokens ? "tokens"
                                                           : results_[i];
      result.units.push_back({unit.unit->unit, unit.header, by, unit.proof == Proof::names ? "" : unit.why});
    }
    return result;
  }

  kernel::Workspace& workspace_;
  const DependantInput& input_;
  kernel::SourceTrees trees_;
  std::vector<UnitPair>& pairs_;
  Findings& findings_;
  std::vector<ReachedUnit> reached_;
  std::vector<std::string> results_;  ///< of those without a proof, by position
  std::vector<elf::LayoutComparison> changed_;
  std::map<std::string, bool> filled_;  ///< by tag
  kernel::FillsHole fills_hole_ = [this](const kernel::GrownType& type) {
    const auto found = filled_.find(type.tag);
    return found != filled_.end() && found->second;
  };
  std::vector<UnitPair> probes_;
};

}  // namespace

report::HeaderReach find_dependants(kernel::Workspace& workspace, const DependantInput& input,
                                    std::vector<UnitPair>& pairs, Findings& findings) {
  report::HeaderReach result = Dependants(workspace, input, pairs, findings).run();
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const UnitPair& a, const UnitPair& b) { return a.unit->unit < b.unit->unit; });
  return result;
}

}  // namespace klp::tools
