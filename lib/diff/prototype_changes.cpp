// Callers in units that are compiled with the patch need no look: either their code is the shipped code, then that fits
// the new prototype as it is, or it changed, and is carried. What remains are callers and callees in other units.
#include "diff/prototype_changes.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>

#include "diff/type_use.h"
#include "diff/unit_findings.h"
#include "support/error.h"

namespace klp::diff {
namespace {

class PrototypeCheck {
 public:
  PrototypeCheck(const TypeInput& input, const elf::TypeTable& original, const elf::TypeTable& patched,
                 elf::LayoutComparer& comparer, Findings& findings)
      : in_(input),
        original_(original),
        patched_(patched),
        comparer_(comparer),
        findings_{input.unit->object, input.unit->unit, findings} {}

  void run() {
    const std::vector<const Piece*> functions = functions_of_patch(in_);
    for (const Piece* function : functions) check_defined(source_name(function->name()));
    std::set<std::string_view> called;
    for (const Piece& piece : in_.patched->all()) {  // with their .cold parts
      const Piece* leader = in_.patched->leader(&piece);
      if (std::find(functions.begin(), functions.end(), leader) != functions.end()) add_called(piece, called);
    }
    for (const std::string_view name : called) check_called(name);
  }

 private:
  void add_called(const Piece& function, std::set<std::string_view>& called) const {
    for (const elf::Relocation& r : in_.patched->relocations(function)) {
      if (r.symbol->is_undefined() && !r.symbol->name.empty()) called.insert(r.symbol->name);
    }
  }

  /// A global function that changed: whoever calls it from elsewhere does so as before.
  void check_defined(std::string_view name) {
    const elf::FunctionType* before = original_.function(name);
    const elf::FunctionType* now = patched_.function(name);
    if (before == nullptr || now == nullptr || !before->external || !before->out_of_line || !now->external) return;
    if (!done_.insert(name).second) return;
    const std::string difference = comparer_.prototype_difference(before->prototype, now->prototype);
    if (difference.empty()) return;
    const std::string types = spelled(original_, *before, *now);
    const std::optional<std::string> callers = callers_elsewhere(name);
    if (callers) {
      findings_.add("changed-prototype", name,
                    fmt::format("{}(): {}, and its callers in other files{} pass and expect what they did before ({})",
                                name, difference, *callers, types),
                    "add the files that call it to the patch, or leave the old function as it is and give the new "
                    "callers a new one");
    }
    if (exporter(name) == in_.unit->object) {
      findings_.add("changed-abi", name,
                    fmt::format("{}() is exported: {}; modules that are loaded, or not part of this kernel, call it as "
                                "before ({})",
                                name, difference, types),
                    "leave the exported function as it is and give the new callers a new one");
    }
  }

  /// Those in units that are not compiled with the patch, for the message; nothing when there are none.
  std::optional<std::string> callers_elsewhere(std::string_view name) const {
    if (in_.unit->dependants_covered) return std::nullopt;
    if (in_.unit->outside == nullptr || in_.unit->units_in_build == nullptr) return "";
    std::set<std::string> places;
    for (const OutsideUse& use : in_.unit->outside->of(std::string(name))) {
      // What only the kernel's start has used is gone.
      if (use.kind != OutsideUse::Kind::start_call && use.place.find(".init.") == std::string::npos &&
          in_.unit->units_in_build->count(use.unit) == 0)
        places.insert(use.function.empty() ? use.place : fmt::format("{}() in {}", use.function, use.unit));
    }
    if (places.empty()) return std::nullopt;
    std::string text;
    for (const std::string& place : places) text += (text.empty() ? " (" : ", ") + place;
    return text + ")";
  }

  /// A function of another unit: the running kernel's is called.
  void check_called(std::string_view name) {
    const elf::FunctionType* now = patched_.function(name);
    const auto* others = in_.unit->defined_in_build;
    if (now == nullptr || (others != nullptr && others->count(name) != 0)) return;
    const elf::TypeTable* running = &original_;
    const elf::FunctionType* before = original_.function(name);
    std::string difference;
    if (before != nullptr) {
      difference = comparer_.prototype_difference(before->prototype, now->prototype);
    } else if ((running = shipped_types_of(name)) != nullptr && (before = running->function(name)) != nullptr &&
               !is_unknown(*running, *before, name)) {
      elf::LayoutComparer against_shipped(*running, patched_);
      difference = against_shipped.prototype_difference(before->prototype, now->prototype);
    }
    if (difference.empty()) return;
    findings_.add(
        "changed-prototype", name,
        fmt::format("{}() is called as the patched source declares it, but the running kernel's is another: {} "
                    "({})",
                    name, difference, spelled(*running, *before, *now)),
        "add the file that defines it to the patch");
  }

  /// The object that defines it, as far as exports tell.
  std::string home_of(std::string_view name) const {
    const std::string_view module = exporter(name);
    return module.empty() ? in_.unit->object : std::string(module);
  }

  const elf::TypeTable* shipped_types_of(std::string_view name) const {
    return in_.unit->shipped_types ? in_.unit->shipped_types(home_of(name)) : nullptr;
  }

  bool is_unknown(const elf::TypeTable& running, const elf::FunctionType& function, std::string_view name) const {
    const elf::Type& type = running.at(running.strip(function.prototype));
    const bool says_nothing =
        type.parameters.empty() && running.at(running.strip(type.target)).kind == elf::TypeKind::void_type;
    return says_nothing && in_.unit->is_assembly && in_.unit->is_assembly(home_of(name), name);
  }

  /// The module that exports it, or "vmlinux"; empty when none does.
  std::string_view exporter(std::string_view name) const {
    if (in_.unit->exports == nullptr) return {};
    const auto exported = in_.unit->exports->find(name);
    return exported == in_.unit->exports->end() ? std::string_view() : exported->second.module;
  }

  std::string spelled(const elf::TypeTable& running, const elf::FunctionType& before,
                      const elf::FunctionType& now) const {
    return fmt::format("now {}, was {}", patched_.text(now.prototype), running.text(before.prototype));
  }

  const TypeInput& in_;
  const elf::TypeTable& original_;
  const elf::TypeTable& patched_;
  elf::LayoutComparer& comparer_;
  const UnitFindings findings_;
  std::set<std::string_view> done_;
};

}  // namespace

std::vector<const Piece*> functions_of_patch(const TypeInput& input) {
  std::unordered_set<const Piece*> carried;
  for (const Carried& c : *input.carried) carried.insert(c.piece);
  std::vector<const Piece*> result;
  for (const FunctionChange& change : input.changes->functions) {
    if (change.kind == FunctionChange::Kind::changed || carried.count(change.patched) != 0)
      result.push_back(change.patched);
  }
  return result;
}

void check_prototypes(const TypeInput& input, const elf::TypeTable& original, const elf::TypeTable& patched,
                      elf::LayoutComparer& comparer, Findings& findings) {
  PrototypeCheck(input, original, patched, comparer, findings).run();
}

}  // namespace klp::diff
