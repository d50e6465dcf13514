#include "diff/type_changes.h"

#include <algorithm>
#include <set>
#include <string>

#include "diff/prototype_changes.h"
#include "diff/unit_findings.h"
#include "elf/layout_compare.h"
#include "support/error.h"

namespace klp::diff {
namespace {

using elf::LayoutChange;
using elf::LayoutComparison;
using elf::LayoutState;

constexpr size_t kNamesInMessage = 3;

/// "a(), b(), c() and 5 more".
template <typename Names>
std::string list(const Names& names, std::string_view after) {
  std::string text;
  size_t count = 0;
  for (const auto& name : names) {
    if (count++ < kNamesInMessage) text += fmt::format("{}{}{}", text.empty() ? "" : ", ", name, after);
  }
  if (count > kNamesInMessage) text += fmt::format(" and {} more", count - kNamesInMessage);
  return text;
}

/// "sock" of "struct sock", "s" of "struct s in f()": what --accept names.
std::string symbol_of(const LayoutComparison& type) {
  std::string name = type.name;
  if (name.starts_with("enum of ")) return name.substr(8);
  name = name.substr(0, name.find(" in "));
  return name.substr(name.find(' ') + 1);
}

/// What was done comes before what only moved because of it.
int rank(const LayoutChange& change) {
  return change.kind == LayoutChange::Kind::moved ? 1 : 0;
}

class TypeCheck {
 public:
  TypeCheck(const TypeInput& input, Findings& findings)
      : in_(input),
        original_(input.types->original),
        patched_(input.types->patched),
        original_use_(input.types->original_use),
        patched_use_(input.types->patched_use),
        all_findings_(findings),
        findings_{input.unit->object, input.unit->unit, findings} {}

  void run() {
    if (!in_.types->known()) {
      findings_.add("changed-layout", "",
                    "without debug information, changes of struct layouts and of prototypes cannot be seen",
                    "compile both objects with -g", Severity::warning);
      return;
    }
    for (const Piece* function : functions_of_patch(in_)) changed_names_.insert(source_name(function->name()));
    for (const LayoutComparison& type : in_.types->differences) check_type(type, original_);
    check_newly_used();
    check_prototypes(in_, original_, patched_, in_.types->comparer, all_findings_);
  }

 private:
  /// A struct of a header that only the patched unit uses was not compared with the unit's own original.
  void check_newly_used() {
    if (!in_.unit->shipped_types) return;
    const elf::TypeTable* shipped = nullptr;
    for (const auto& [name, id] : patched_.named()) {
      if (original_.find(name) != 0 || patched_.at(id).file.ends_with(".c")) continue;
      if (shipped == nullptr) shipped = in_.unit->shipped_types(in_.unit->object);
      if (shipped == nullptr) return;
      const LayoutComparison type = compare_with_shipped(*shipped, name, id);
      if (type.state != LayoutState::same) check_type(type, *shipped);
    }
  }

  /// A kernel may have several types of one name: one that is the same is enough.
  LayoutComparison compare_with_shipped(const elf::TypeTable& shipped, const std::string& name, elf::TypeId id) const {
    elf::LayoutComparer comparer(shipped, patched_);
    const LayoutComparison first = comparer.compare(name);
    if (first.state == LayoutState::same) return first;
    const elf::Type& wanted = patched_.at(id);
    for (elf::TypeId other = 1; other < shipped.size(); ++other) {
      const elf::Type& t = shipped.at(other);
      if (t.kind != wanted.kind || t.name != wanted.name || t.declaration || other == first.original) continue;
      LayoutComparison next = comparer.compare_as(name, other, id);
      if (next.state == LayoutState::same) return next;
    }
    return first;
  }

  void check_type(const LayoutComparison& type, const elf::TypeTable& before) {
    if (type.state == LayoutState::hole_filled) {
      report_harmless(type);
      return;
    }
    LayoutComparison layout = type;
    layout.changes.clear();
    for (const LayoutChange& change : type.changes) {
      if (change.kind == LayoutChange::Kind::prototype) {
        report_prototype(type, change);
      } else {
        layout.changes.push_back(change);
      }
    }
    if (layout.changes.empty() && type.old_size == type.new_size) return;
    if (!type.because_of.empty()) return;  // the embedded type is reported, and that this one holds it
    if (&before == &original_ && is_seen_by_patch_only(type)) {
      findings_.add("changed-layout", symbol_of(type),
                    fmt::format("{} changed ({}), which is fine: it is declared in this file, each instance is a local "
                                "variable, and whoever sees one is replaced or did not change",
                                type.name, what_changed(layout)),
                    "", Severity::note);
      return;
    }
    findings_.add("changed-layout", symbol_of(type), layout_message(type, layout), hint_for(type));
  }

  void report_harmless(const LayoutComparison& type) {
    using Kind = LayoutChange::Kind;
    const bool only_gone = std::all_of(type.changes.begin(), type.changes.end(),
                                       [](const LayoutChange& c) { return c.kind == Kind::removed; });
    const bool added = std::any_of(type.changes.begin(), type.changes.end(),
                                   [](const LayoutChange& c) { return c.kind == Kind::added_in_hole; });
    findings_.add(
        "changed-layout", symbol_of(type),
        fmt::format("{} keeps its size and all offsets: {}{}", type.name, what_changed(type),
                    added ? "; in objects that exist already the new member holds what happened to be there" : ""),
        added ? "check that objects made before the patch was applied are treated right" : "",
        only_gone ? Severity::note : Severity::warning);
  }

  /// Who calls through the pointer is not known, but units that are compiled with the new type fit (see
  /// prototype_changes.cpp).
  void report_prototype(const LayoutComparison& type, const LayoutChange& change) {
    if (in_.unit->dependants_covered || patched_.at(type.patched).file.ends_with(".c")) return;
    findings_.add("changed-prototype", fmt::format("{}.{}", symbol_of(type), change.member),
                  fmt::format("{}: {}; code outside the patch calls through it, and sets it, as before", type.name,
                              change.text()),
                  "add the files that use this member to the patch, or leave it as it is");
  }

  std::string what_changed(const LayoutComparison& type) const {
    std::vector<const LayoutChange*> changes;
    for (const LayoutChange& change : type.changes) changes.push_back(&change);
    std::stable_sort(changes.begin(), changes.end(),
                     [](const LayoutChange* a, const LayoutChange* b) { return rank(*a) < rank(*b); });
    std::vector<std::string> texts;
    for (const LayoutChange* change : changes) texts.push_back(change->text());
    return list(texts, "");
  }

  std::string layout_message(const LayoutComparison& type, const LayoutComparison& layout) const {
    const bool is_enum = type.name.starts_with("enum");
    std::string text = type.old_size == type.new_size
                           ? fmt::format("{} changed", type.name)
                           : fmt::format("{} has {} bytes instead of {}", type.name, type.new_size, type.old_size);
    if (!layout.changes.empty()) text += ": " + what_changed(layout);
    if (is_enum) return text + "; the running kernel has the old numbers in its memory and code";
    std::vector<std::string_view> users;
    for (const std::string_view name : patched_use_.functions(type.patched)) {
      if (changed_names_.count(name) != 0) users.push_back(name);
    }
    text += users.empty() ? "; no changed function takes or declares it" : "; used by " + list(users, "()");
    const auto holders = patched_use_.holders(type.patched);
    if (!holders.empty()) text += "; part of " + list(holders, "");
    return text + instances(type);
  }

  /// Where instances are made, as far as this unit shows it.
  std::string instances(const LayoutComparison& type) const {
    if (original_.find(type.name) != type.original) return "";
    std::string text;
    const auto allocators = original_use_.allocators(type.original, type.old_size);
    if (!allocators.empty()) text += "; allocated by " + list(allocators, "()");
    const auto variables = original_use_.variables(type.original);
    if (!variables.empty())
      text += "; held in the variable" + std::string(variables.size() > 1 ? "s " : " ") + list(variables, "");
    return text;
  }

  static std::string hint_for(const LayoutComparison& type) {
    if (type.name.starts_with("enum")) return "add new enumerators behind the others";
    const bool shared = std::all_of(type.changes.begin(), type.changes.end(), [](const LayoutChange& c) {
      return c.kind == LayoutChange::Kind::added && !c.old_type.empty();
    });
    if (shared && type.old_size == type.new_size) {
      return fmt::format(
          "nothing moves, but objects that exist hold there what the old code put in: make the new code treat them "
          "right, "
          "convert them in a callback, or use a shadow variable (klp_shadow_alloc); --accept changed-layout:{} when "
          "old "
          "and new code use the place alike",
          symbol_of(type));
    }
    return fmt::format(
        "objects that exist keep the old layout: put new members into a shadow variable (klp_shadow_alloc), or into a "
        "hole; --accept changed-layout:{} when the new code never meets an old object",
        symbol_of(type));
  }

  /// Functions that see an instance and are not replaced have the code that they had, which works on either layout.
  bool is_seen_by_patch_only(const LayoutComparison& type) const {
    return original_use_.is_on_stacks_only(type.original) && patched_use_.is_on_stacks_only(type.patched);
  }

  const TypeInput& in_;
  const elf::TypeTable &original_, &patched_;
  const TypeUse &original_use_, &patched_use_;
  Findings& all_findings_;
  const UnitFindings findings_;
  std::set<std::string_view> changed_names_;
};

}  // namespace

void check_types(const TypeInput& input, Findings& findings) {
  TypeCheck(input, findings).run();
}

}  // namespace klp::diff
