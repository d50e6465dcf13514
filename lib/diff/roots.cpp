#include "diff/roots.h"

#include <algorithm>
#include <map>

#include "diff/lifting.h"
#include "diff/section_use.h"
#include "elf/ftrace_site.h"
#include "support/error.h"

namespace klp::diff {
namespace {

class RootChooser {
 public:
  RootChooser(const RootsInput& input, Findings& findings)
      : in_(input), findings_{input.unit->object, input.unit->unit, findings} {}

  Roots choose() {
    choose_functions();
    choose_new_data();
    choose_callbacks();
    lift(in_, without_site_, result_, findings_.findings);
    return std::move(result_);
  }

 private:
  /// Callbacks are carried with all they need, and called by the livepatch core only.
  void choose_callbacks() {
    std::map<const Piece*, std::string> reasons;
    for (const AuthorMarks::Callback& callback : in_.marks->callbacks) {
      if (in_.correlation->original_of(callback.function) != nullptr) {
        findings_.add("callback", callback.function->name(),
                      fmt::format("the {} is a function that the kernel has already", callback_text(callback.kind)),
                      "make it a new function, which may call the other one");
        continue;
      }
      std::string& reason = reasons[callback.function];
      reason += (reason.empty() ? "" : " and ") + callback_text(callback.kind);
      result_.callbacks.emplace_back(callback.function, callback.kind);
    }
    for (const auto& [function, kind] : result_.callbacks) {
      if (const auto reason = reasons.extract(function)) result_.roots.push_back({function, reason.mapped()});
    }
  }

  void choose_functions() {
    for (const FunctionChange& change : in_.changes->functions) {
      const Piece& piece = *change.patched;
      if (leave_out(*in_.marks, *in_.patched, piece, change.reason, findings_)) continue;
      const bool was_init = change.original != nullptr && is_init(*change.original);
      const bool was_exit = change.original != nullptr && is_exit(*change.original);
      if (is_init(piece) || is_exit(piece) || was_init || was_exit) {
        const bool init = is_init(piece) || was_init;
        findings_.add(init ? "init-code" : "exit-code", piece.name(),
                      fmt::format("{} {}: {}", init ? "__init function" : "__exit function",
                                  change.original != nullptr ? "changed" : "added", change.reason),
                      init ? "it has already run; move what a running kernel needs into a callback"
                           : "it cannot be redirected; leave it out of the patch");
      } else if (change.kind == FunctionChange::Kind::added) {
        if (refuse_moved(piece)) continue;
        if (is_wanted(piece)) result_.roots.push_back({&piece, new_global_reason("function")});
      } else if (is_overridden(*change.original)) {
        findings_.add(
            "identity-mismatch", piece.name(),
            "the change is in a weak function that the shipped kernel overrides: it has no effect and is left out", "",
            Severity::warning);
      } else {
        add_root(change);
      }
    }
  }

  bool is_wanted(const Piece& piece) const {
    const auto wanted = [&](const elf::Symbol* s) {
      return !s->is_local() && (in_.unit->carry_new_globals || in_.unit->wanted.count(s->name) != 0);
    };
    return wanted(piece.symbol) || std::any_of(piece.aliases.begin(), piece.aliases.end(), wanted);
  }

  std::string new_global_reason(std::string_view what) const {
    return fmt::format(
        "new {}, {}", what,
        in_.unit->carry_new_globals ? "global: another file may use it" : "used by another file of the patch");
  }

  /// New variables that other units refer to, though perhaps nothing that changes here does.
  void choose_new_data() {
    for (const Piece& piece : in_.patched->all()) {
      if (piece.kind != PieceKind::object || in_.correlation->original_of(&piece) != nullptr ||
          in_.patched_tables->is_table(*piece.section) || is_author_mark(*piece.section))
        continue;
      if (is_init(piece) || is_exit(piece) || refuse_moved(piece)) continue;
      if (is_wanted(piece)) result_.roots.push_back({&piece, new_global_reason("variable")});
    }
  }

  /// A global that is new in this unit but not in the kernel was moved here, or takes the place of a weak one: a second
  /// copy would split a variable's state, and nothing would call a function's.
  bool refuse_moved(const Piece& piece) {
    if (in_.unit->shipped == nullptr || piece.symbol->is_local()) return false;
    const elf::Symbol* there = in_.unit->shipped->maybe_global(piece.symbol->name);
    if (there == nullptr || !there->is_defined()) return false;
    if (is_init_section(there->section->name)) return false;  // it is gone; this one takes its name
    findings_.add(
        "ambiguous-symbol", piece.name(),
        fmt::format("new in this file, but {} has a symbol of this name already: moved here, or overriding a weak one",
                    in_.unit->object),
        "leave it where it was");
    return true;
  }

  bool is_overridden(const Piece& original) const {
    const FunctionIdentity* identity = in_.identity != nullptr ? in_.identity->of(&original) : nullptr;
    return identity != nullptr && identity->state == IdentityState::overridden;
  }

  void add_root(const FunctionChange& change) {
    const Piece& original = *change.original;
    if (!can_redirect(in_, original)) {
      without_site_.push_back({change.patched, change.reason});
      return;
    }
    result_.roots.push_back({change.patched, change.reason});
    result_.replaced.insert(change.patched);
  }

  const RootsInput& in_;
  const UnitFindings findings_;
  std::vector<Root> without_site_;
  Roots result_;
};

}  // namespace

Roots choose_roots(const RootsInput& input, Findings& findings) {
  return RootChooser(input, findings).choose();
}

bool leave_out(const AuthorMarks& marks, const Pieces& patched, const Piece& piece, std::string_view reason,
               const UnitFindings& findings) {
  if (!marks.ignores(patched, piece)) return false;
  findings.add("ignored-change", piece.name(),
               fmt::format("left out as the patch says (KPATCH_IGNORE_{}): {}",
                           marks.ignored_sections.count(piece.section->name) != 0 ? "SECTION" : "FUNCTION", reason),
               "", Severity::warning);
  return true;
}

bool can_redirect(const RootsInput& input, const Piece& original) {
  if (!input.original->has_ftrace_site(original)) return false;
  const elf::Symbol* shipped = input.identity != nullptr ? input.identity->shipped_symbol(original) : nullptr;
  return shipped == nullptr || !shipped->is_defined() ||
         elf::ftrace_site(input.unit->shipped->object(), *shipped) != elf::FtraceSite::ambiguous;
}

bool is_init(const Piece& piece) {
  return is_init_section(piece.section->name);
}
bool is_exit(const Piece& piece) {
  return is_exit_section(piece.section->name);
}

}  // namespace klp::diff
