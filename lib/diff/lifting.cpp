#include "diff/lifting.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <deque>

#include "diff/data_uses.h"
#include "diff/section_use.h"
#include "diff/uses.h"
#include "support/error.h"

namespace klp::diff {
namespace {

/// Sections whose pointers to a function call nothing: marks for debugging tools, and what never reaches the kernel.
bool is_mark(std::string_view section) {
  constexpr std::array<std::string_view, 5> kNames = {"_kprobe_blacklist", "_error_injection_whitelist", ".discard",
                                                      ".note", ".kpatch."};
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view name) { return section.starts_with(name); });
}

bool is_start_call(std::string_view section) {
  return section.starts_with(".initcall") || section.starts_with(".con_initcall");
}

class Lifter {
 public:
  Lifter(const RootsInput& input, Roots& roots, Findings& findings)
      : in_(input),
        findings_{input.unit->object, input.unit->unit, findings},
        roots_(roots),
        uses_(*input.patched, *input.patched_tables) {
    for (const Root& root : roots.roots) seen_.insert(root.piece);
  }

  void run(const std::vector<Root>& without_site) {
    for (const Root& root : without_site) {
      if (seen_.insert(root.piece).second)
        open_.push_back({root.piece, fmt::format("changed ({})", root.because), {}, root.because, root.piece, false});
    }
    for (const DataChange& change : in_.changes->data) look_at_data(change);
    for (const auto& [name, because] : in_.unit->anew) look_at_anew(name, because);
    for (; !open_.empty(); open_.pop_front()) lift_function(open_.front());
  }

 private:
  /// A function without a site whose callers are to be found.
  struct Open {
    const Piece* piece;
    std::string reason;                ///< "changed (code differs at +0x1c)", "calls f, which ..."
    std::vector<std::string> further;  ///< the chain behind the reason
    std::string change;                ///< what changed in it, if it did
    const Piece* origin;               ///< where the chain ends, for findings; null: outside of this unit
    bool lifted;                       ///< did not change itself
  };

  /// What the uses of one function or table come to.
  struct Users {
    std::vector<const Piece*> functions;  ///< leaders, each once
    std::vector<std::string> over;        ///< have run already
    std::vector<std::string> obstacles;
    std::vector<OutsideCaller> outside;

    void add(const Piece* function) {
      if (std::find(functions.begin(), functions.end(), function) == functions.end()) functions.push_back(function);
    }
  };

  void lift_function(const Open& open) {
    const Piece& piece = *open.piece;
    Users users;
    for (const Use& use : uses_.of(piece)) add_use(piece, use, users);
    ask_outside(piece, open.reason, users);
    if (users.obstacles.empty() && users.functions.empty() && users.outside.empty()) {
      if (!users.over.empty()) return report_inert(piece, users);
      users.obstacles.emplace_back("nothing that calls it is found");
    }
    if (!users.obstacles.empty()) return refuse_function(open, users);
    roots_.roots.push_back({&piece, open.lifted ? open.reason : open.change, false, open.further});
    roots_.replaced.insert(&piece);
    if (open.lifted) roots_.lifted.insert(&piece);
    if (!users.outside.empty()) roots_.shared.insert(&piece);
    roots_.outside.insert(roots_.outside.end(), users.outside.begin(), users.outside.end());
    const std::string reason = fmt::format("calls {}, which {} and has no {}", piece.name(),
                                           open.lifted ? "is carried anew" : open.reason, lacking(piece));
    std::vector<std::string> further = open.further;
    if (open.lifted) further.insert(further.begin(), fmt::format("{} {}", piece.name(), open.reason));
    for (const Piece* user : users.functions) add_user(*user, reason, further, open.origin);
    report_over(piece, users);
  }

  void add_use(const Piece& piece, const Use& use, Users& users) const {
    const Piece* user = in_.patched->leader(use.from);
    const std::string_view section = use.from->section->name;
    if (user == &piece || is_mark(section)) return;
    if (is_start_call(section) || (use.reference.branch && is_over(*user))) {
      users.over.emplace_back(is_start_call(section) ? "the kernel's start" : user->name());
    } else if (is_export_section(section)) {
      users.obstacles.emplace_back("it is exported: modules that nobody here knows may call it");
    } else if (use.from->kind != PieceKind::function && use.from->section->is_exec()) {
      users.obstacles.push_back(fmt::format("code without a symbol refers to it ({})", Uses::place(use)));
    } else if (use.reference.branch && use.reference.offset == 0) {
      users.add(user);
    } else if (use.from->kind == PieceKind::function) {
      users.obstacles.push_back(use.in_entry ? fmt::format("a kernel table entry of {} holds its address", user->name())
                                             : fmt::format("{} {}",
                                                           use.reference.branch ? "a branch goes to the middle of it at"
                                                                                : "its address is taken at",
                                                           Uses::place(use)));
    } else if (!is_own_jump_table(piece, use)) {
      users.obstacles.push_back(fmt::format("its address is stored in {}", Uses::place(use)));
    }
  }

  /// Boot-time code has run; what only unloading runs is not in vmlinux at all.
  bool is_over(const Piece& function) const {
    return is_init(function) || (is_exit(function) && in_.unit->object == "vmlinux");
  }

  /// Addresses inside the function, in data that nothing else uses.
  bool is_own_jump_table(const Piece& function, const Use& use) const {
    if (use.reference.offset == 0) return false;
    const auto& users = uses_.of(*use.from);
    return std::all_of(users.begin(), users.end(),
                       [&](const Use& u) { return in_.patched->leader(u.from) == &function; });
  }

  static std::vector<const elf::Symbol*> globals_of(const Piece& piece) {
    std::vector<const elf::Symbol*> result = piece.aliases;
    result.insert(result.begin(), piece.symbol);
    std::erase_if(result, [](const elf::Symbol* s) { return s->is_local(); });
    return result;
  }

  void ask_outside(const Piece& piece, const std::string& reason, Users& users) const {
    for (const elf::Symbol* symbol : globals_of(piece)) {
      const std::string name(symbol->name);
      if (in_.unit->exports != nullptr) {
        const auto found = in_.unit->exports->find(name);
        if (found != in_.unit->exports->end() && found->second.module == in_.unit->object) {
          users.obstacles.emplace_back("it is exported: modules that nobody here knows may use it");
          continue;
        }
      }
      if (in_.unit->outside == nullptr) {
        users.obstacles.emplace_back("it is global, and which other files use it is not known here");
        continue;
      }
      for (const OutsideUse& use : in_.unit->outside->of(name)) {
        if (use.kind == OutsideUse::Kind::call)
          users.outside.push_back({use.unit, use.function, name, reason});
        else if (use.kind == OutsideUse::Kind::start_call)
          users.over.push_back(use.function);
        else
          users.obstacles.push_back(use.place);
      }
    }
  }

  /// A function that has to use the new one: redirected if it can be, else lifted in its turn.
  void add_user(const Piece& user, const std::string& reason, const std::vector<std::string>& further,
                const Piece* origin) {
    const Piece* original = in_.correlation->original_of(&user);
    if (original == nullptr) return;  // new, and carried by whatever uses it
    const FunctionIdentity* identity = in_.identity != nullptr ? in_.identity->of(original) : nullptr;
    if (identity != nullptr && identity->state == IdentityState::overridden) return;
    if (!seen_.insert(&user).second) return;
    if (is_exit(user)) {
      findings_.add("exit-code", user.name(), fmt::format("__exit function {}", reason),
                    "it cannot be redirected; leave the change out of the patch");
    } else if (in_.marks->ignores(*in_.patched, user)) {
      findings_.add("not-traceable", user.name(), fmt::format("{}, but the patch says to leave it out", reason),
                    "take KPATCH_IGNORE_FUNCTION away");
    } else if (can_redirect(in_, *original)) {
      roots_.roots.push_back({&user, reason, true, further});
      roots_.replaced.insert(&user);
      roots_.lifted.insert(&user);
    } else {
      open_.push_back({&user, reason, further, {}, origin, true});
    }
  }

  /// Globals of other units that are carried anew: who calls them here.
  void look_at_anew(const std::string& name, const std::string& because) {
    Users users;
    for (const Use& use : uses_.of_external(name)) {
      const Piece* user = in_.patched->leader(use.from);
      if (is_mark(use.from->section->name)) continue;
      if (use.reference.branch && use.reference.offset == 0 && use.from->kind == PieceKind::function) {
        if (!is_over(*user)) users.add(user);
      } else {
        users.obstacles.push_back(fmt::format("its address is used at {}", Uses::place(use)));
      }
    }
    if (!users.obstacles.empty()) {
      findings_.add("not-traceable", name,
                    fmt::format("{} and has no ftrace site to redirect it at; its callers cannot take its place: {}",
                                because, fmt::join(users.obstacles, "; ")),
                    "change the function that uses its address instead");
      return;
    }
    for (const Piece* user : users.functions)
      add_user(*user, fmt::format("calls {}, which {} and has no ftrace site", name, because), {}, nullptr);
  }

  void look_at_data(const DataChange& change) {
    const Piece& piece = *change.patched;
    if (in_.patched->arch().runs_before_patching_only(piece.section->name) || is_export_section(piece.section->name) ||
        leave_out(*in_.marks, *in_.patched, piece, change.reason, findings_))
      return;
    if (is_init(piece) || is_exit(piece)) {
      refuse_data(change, "init-code", "boot-time data", "", "it is gone from memory; leave it out of the patch");
    } else if (!is_constant_data(*change.original) || !is_constant_data(piece)) {
      refuse_data(change, "changed-data", "data of the running kernel", "",
                  "a livepatch replaces code only: use the new value in the code that reads it, or set it in a "
                  "livepatch callback (pre_patch, and back in post_unpatch); --accept changed-data where the old value "
                  "may stay");
    } else {
      lift_data(change);
    }
  }

  void lift_data(const DataChange& change) {
    const Piece& piece = *change.patched;
    Users users;
    std::vector<std::string> passed;
    for (const Use& use : uses_.of(piece)) add_data_use(use, users, passed);
    for (const elf::Symbol* symbol : globals_of(piece)) add_outside_data_uses(std::string(symbol->name), users);
    if (users.obstacles.empty() && users.functions.empty())
      users.obstacles.emplace_back("nothing that reads it is found");
    if (!users.obstacles.empty()) {
      refuse_data(change, "changed-data", "read-only data of the running kernel",
                  fmt::format("; a copy cannot take its place: {}", fmt::join(users.obstacles, "; ")),
                  "use the new value in the code that reads it; --accept changed-data where the old value may stay");
      return;
    }
    if (!passed.empty()) {
      refuse_data(change, "changed-data", "read-only data of the running kernel",
                  fmt::format("; its address is given away: {}", fmt::join(passed, "; ")),
                  fmt::format("if nothing keeps or compares the address, --accept changed-data:{}: the functions that "
                              "use it then get a copy with the new content",
                              piece.name()));
    }
    seen_.insert(&piece);
    roots_.anew.emplace(&piece, change.reason);
    const std::string reason = fmt::format("reads {}, which changed ({})", piece.name(), change.reason);
    for (const Piece* user : users.functions) add_user(*user, reason, {}, user);
  }

  /// A function's several uses of a table come to one end.
  static void add_once(std::vector<std::string>& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
  }

  void add_data_use(const Use& use, Users& users, std::vector<std::string>& passed) const {
    const Piece* user = in_.patched->leader(use.from);
    if (is_mark(use.from->section->name) || (use.from->kind == PieceKind::function && is_over(*user))) return;
    const DataUse found = use_of_data(*in_.patched, *in_.patched_tables, use);
    if (found.kind == DataUse::Kind::other) {
      add_once(users.obstacles, found.text);
      return;
    }
    if (found.kind == DataUse::Kind::passed) add_once(passed, found.text);
    users.add(user);
  }

  void add_outside_data_uses(const std::string& name, Users& users) const {
    if (in_.unit->outside == nullptr) {
      users.obstacles.emplace_back("it is global, and which other files use it is not known here");
      return;
    }
    for (const OutsideUse& use : in_.unit->outside->of(name)) {
      if (use.kind != OutsideUse::Kind::start_call) users.obstacles.push_back(use.place);
    }
  }

  void refuse_data(const DataChange& change, std::string code, std::string_view what, std::string_view why,
                   std::string hint) {
    const Piece& piece = *change.patched;
    findings_.add(std::move(code), piece.name(),
                  fmt::format("{} changed in {}: {}{}", what, piece.section->name, change.reason, why),
                  std::move(hint));
    roots_.refused_data.push_back(&change);
  }

  void refuse_function(const Open& open, const Users& users) const {
    const Piece& symbol = open.origin != nullptr ? *open.origin : *open.piece;
    const std::string site = lacking(*open.piece);
    const std::string what = open.lifted
                                 ? fmt::format("{} {}, and has no {} either", open.piece->name(), open.reason, site)
                                 : fmt::format("{}, but it has no {} to redirect it at", open.reason, site);
    findings_.add("not-traceable", symbol.name(),
                  fmt::format("{}; its callers cannot take its place: {}", what, fmt::join(users.obstacles, "; ")),
                  "change code that calls it instead: functions marked notrace or inline, and files built without "
                  "-pg, cannot be redirected");
  }

  /// What a function that cannot be redirected does not have.
  std::string lacking(const Piece& piece) const {
    const Piece* original = in_.correlation->original_of(&piece);
    if (original == nullptr || !in_.original->has_ftrace_site(*original)) return "ftrace site";
    return "ftrace site that the kernel is sure to find (an overridden weak function, which has no symbol, stands "
           "behind "
           "it with one of its own)";
  }

  void report_inert(const Piece& piece, const Users& users) const {
    findings_.add("inert", piece.name(),
                  fmt::format("changed, but only code that has run already calls it: {}", fmt::join(users.over, ", ")),
                  "", Severity::warning);
  }

  void report_over(const Piece& piece, const Users& users) const {
    if (users.over.empty()) return;
    findings_.add("inert", piece.name(),
                  fmt::format("callers that have run already are left as they are: {}", fmt::join(users.over, ", ")),
                  "", Severity::note);
  }

  const RootsInput& in_;
  const UnitFindings findings_;
  Roots& roots_;
  const Uses uses_;
  std::unordered_set<const Piece*> seen_;  ///< roots, and functions that are open or were
  std::deque<Open> open_;
};

}  // namespace

void lift(const RootsInput& input, const std::vector<Root>& without_site, Roots& roots, Findings& findings) {
  if (without_site.empty() && input.changes->data.empty() && input.unit->anew.empty()) return;
  Lifter(input, roots, findings).run(without_site);
}

}  // namespace klp::diff
