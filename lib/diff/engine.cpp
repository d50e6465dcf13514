#include "diff/engine.h"

#include <algorithm>
#include <unordered_map>

#include "diff/author_marks.h"
#include "diff/compare.h"
#include "diff/escapes.h"
#include "diff/explain.h"
#include "diff/plan.h"
#include "diff/roots.h"
#include "diff/section_use.h"
#include "diff/start_calls.h"
#include "diff/type_changes.h"
#include "diff/unnamed_entries.h"
#include "elf/debug_info.h"
#include "elf/member_path.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/log.h"

namespace klp::diff {
namespace {

std::string file_symbol(const elf::ElfObject& object) {
  for (const elf::Symbol& s : object.symbols()) {
    if (s.type == elf::kSttFile && !s.name.empty()) return std::string(s.name);
  }
  return {};
}

/// All of one unit's analysis; the members are the phases' values, made in this order and const afterwards.
class UnitAnalysis {
 public:
  explicit UnitAnalysis(const UnitInput& input)
      : in_(input),
        disassembler_(input.patched->machine()),
        original_(*input.original, disassembler_),
        patched_(*input.patched, disassembler_),
        original_tables_(original_, input.table_sizes),
        patched_tables_(patched_, input.table_sizes),
        original_debug_(elf::read_debug_info(*input.original)),
        patched_debug_(elf::read_debug_info(*input.patched)),
        correlation_(correlate(original_, patched_, original_debug_, patched_debug_)) {}

  UnitResult run() {
    Comparison comparison(original_, patched_, correlation_, original_tables_, patched_tables_);
    comparison.learn_lines();
    changes_ = compare(original_, patched_, correlation_, comparison, patched_tables_);
    explanations_.emplace(in_.source, original_debug_, patched_debug_, changes_,
                          [this]() -> UnitTypes& { return types(); });
    identify();
    report_identity();
    read_marks();
    name_changed_members();
    choose_roots();
    report_data_changes();
    report_lost_additions();
    report_new_start_calls();
    report_unnamed_entries();
    report_line_changes();
    report_moved_functions();
    report_removed_locals();
    // Fence: the roots are final. From here on "is this function replaced?" has one answer.
    if (!chosen_.roots.empty() || !marks_.states.empty()) plan_module();
    result_.changed = !chosen_.roots.empty() || !marks_.states.empty() || result_.findings.has_refusal();
    if (result_.changed) {
      check_types({&in_, &original_, &patched_, &types(), &changes_, &carried_}, result_.findings);
      report_identity_findings();
    }
    result_.findings = explanations_->with_places(result_.findings);
    if (result_.changed) report_left_out();
    return std::move(result_);
  }

 private:
  void refuse(std::string code, std::string_view symbol, std::string message, std::string hint,
              Severity severity = Severity::refusal) {
    UnitFindings{in_.object, in_.unit, result_.findings}.add(std::move(code), symbol, std::move(message),
                                                             std::move(hint), severity);
  }

  UnitTypes& types() {
    if (!types_) types_.emplace(original_, patched_);
    return *types_;
  }

  void identify() {
    if (in_.shipped == nullptr) return;
    if (in_.as_shipped != nullptr) {
      as_shipped_pieces_.emplace(*in_.as_shipped, disassembler_);
      as_shipped_.emplace(*as_shipped_pieces_, *in_.shipped);
    }
    identity_.emplace(original_, *in_.shipped, as_shipped_ ? &*as_shipped_ : nullptr);
  }

  void report_identity() {
    if (!identity_) return;
    result_.identity = {identity_->count(IdentityState::matched), identity_->count(IdentityState::different),
                        identity_->count(IdentityState::absent), identity_->count(IdentityState::overridden)};
  }

  /// A function that is not the shipped one may hide changed code that the shipped one has inlined.
  void report_identity_findings() {
    if (!identity_ || !in_.check_identity) return;
    for (const FunctionIdentity& f : identity_->functions()) {
      if (f.state == IdentityState::matched || f.state == IdentityState::overridden || is_exit(*f.piece)) continue;
      refuse("identity-mismatch", f.piece->name(),
             fmt::format("the compiled original is not the shipped function: {}", f.difference),
             "check that source, config and compiler are those of the shipped kernel");
    }
  }

  /// "content differs at +0x160" says little to a reader: which member that is, and its values where it is a number.
  void name_changed_members() {
    for (DataChange& change : changes_.data) {
      if (!change.at || !types().known()) continue;
      for (const elf::TypedName& variable : types().patched.variables()) {
        if (variable.name != change.patched->name()) continue;
        const elf::MemberPlace member = elf::member_at(types().patched, variable.type, *change.at);
        if (!member.path.empty()) change.reason += fmt::format(" ({}{})", member.path, values(change, member));
        break;
      }
    }
  }

  std::string values(const DataChange& change, const elf::MemberPlace& member) {
    const auto value = [&](const Piece& piece) -> std::optional<uint64_t> {
      const std::span<const std::byte> data = piece.section->has_data() ? piece.data() : std::span<const std::byte>();
      const bool number = member.size == 1 || member.size == 2 || member.size == 4 || member.size == 8;
      if (!number || member.offset > data.size() || data.size() - member.offset < member.size) return std::nullopt;
      uint64_t result = 0;
      for (uint64_t i = member.size; i-- > 0;) result = result << 8 | read_le<uint8_t>(data, member.offset + i);
      return result;
    };
    const auto before = value(*change.original), after = value(*change.patched);
    if (!before || !after || *before == *after) return {};  // equal: an address, which the reason names
    std::string text = fmt::format(": {} instead of {}", *after, *before);
    for (const elf::LayoutComparison& type : types().differences) {
      const bool grown = type.old_size != type.new_size && type.old_size == *before && type.new_size == *after;
      if (grown) return text + ", the size of " + type.name;
    }
    return text;
  }

  void read_marks() {
    Findings problems;
    marks_ = read_author_marks(patched_, problems);
    for (const Finding& f : problems.list()) refuse(f.code, f.symbol, f.message, f.hint, f.severity);
    for (const Piece* function : marks_.forced) {
      refuse("stall-risk", function->name(),
             "KPATCH_FORCE_UNSAFE has no effect: the kernel's livepatch core always waits until no task is in the "
             "function",
             "where a task sleeps in it for ever, the transition does not end", Severity::warning);
    }
  }

  bool is_ignored(const Piece& piece, std::string_view reason) {
    const UnitFindings findings{in_.object, in_.unit, result_.findings};
    return leave_out(marks_, patched_, piece, reason, findings);
  }

  void choose_roots() {
    const Identity* identity = identity_ ? &*identity_ : nullptr;
    chosen_ = diff::choose_roots(
        {&in_, &original_, &patched_, &patched_tables_, &correlation_, &changes_, identity, &marks_}, result_.findings);
    for (const Piece* removed : changes_.removed_functions)
      add_function(*removed, "removed", false, 0, removed->size, 0, {explanations_->why_gone(*removed, patched_)});
  }

  void report_data_changes() {
    for (const DataChange* change : chosen_.refused_data) {
      const Piece& piece = *change->patched;
      if (chosen_.anew.count(&piece) != 0) continue;
      add_changed_data(piece, false, change->reason);
    }
  }

  void add_changed_data(const Piece& piece, bool carried, const std::string& reason) {
    result_.data.push_back({std::string(piece.name()), "changed", carried, std::string(piece.section->name), piece.size,
                            explanations_->of_data(piece.name(), reason)});
  }

  void report_new_start_calls() {
    const std::set<std::string> before = start_calls(original_);
    for (const std::string& name : start_calls(patched_)) {
      if (before.count(name) == 0)
        refuse("init-code", name, "the patch has it called at boot, which is over",
               "call it from a callback, or leave it out of the patch");
    }
  }

  void report_unnamed_entries() {
    const auto before = unnamed_entries(original_, patched_tables_);
    auto after = unnamed_entries(patched_, patched_tables_);
    for (const auto& [section, text] : before) after.try_emplace(section);
    for (const auto& [section, text] : after) {
      const auto found = before.find(section);
      if (found != before.end() ? found->second == text : text.empty()) continue;
      refuse("unsupported-section", section,
             fmt::format("the entries of {} change, and what they mean is not known", section),
             "leave the change out of the patch");
    }
  }

  bool may_be_kernel_table(const Piece& piece) const {
    const elf::Section& section = *piece.section;
    return !is_private_static(piece) && !section.is_exec() && !is_known_section(section.name) &&
           !patched_tables_.is_table(section);
  }

  /// New content of sections that only mean something while a module or the kernel starts would be lost without a word.
  void report_lost_additions() {
    for (const Piece& piece : patched_.all()) {
      if (piece.symbol == nullptr || piece.kind == PieceKind::function || correlation_.original_of(&piece) != nullptr)
        continue;
      const std::string_view section = piece.section->name;
      if (is_export_section(section)) {
        refuse("dropped-export", piece.name(),
               "the new export is left out: a livepatch must not export symbols of the kernel",
               "nothing, unless another module of the fix uses the symbol", Severity::note);
      } else if (marks_.ignored_sections.count(section) != 0) {
        is_ignored(piece, "new");
      } else if (is_read_at_start(section) || may_be_kernel_table(piece)) {
        refuse("unsupported-section", piece.name(),
               fmt::format("adds an entry to {}, which the kernel reads only at start, or whose meaning is not known",
                           section),
               "leave it out of the patch");
      }
    }
  }

  void report_removed_locals() {
    for (const Piece* piece : correlation_.removed_locals())
      refuse("static-local-removed", piece->name(), "this static variable is gone; the running kernel keeps its value",
             "", Severity::note);
  }

  void report_line_changes() {
    std::string names;
    for (const Piece* piece : changes_.only_lines) names += (names.empty() ? "" : ", ") + std::string(piece->name());
    if (names.empty()) return;
    refuse("line-only", "", fmt::format("only line numbers differ, left out: {}", names), "", Severity::note);
  }

  void report_moved_functions() {
    for (const auto& [piece, text] : changes_.moved) {
      refuse("moved-function", piece->name(),
             fmt::format("its code stays the same and is moved {}, which a livepatch cannot do", text),
             "nothing, unless where it lies is the fix: then the fix needs a reboot", Severity::warning);
    }
  }

  void plan_module() {
    context_.patched = &patched_;
    context_.replaced = chosen_.replaced;
    for (const auto& [piece, reason] : chosen_.anew) context_.anew.insert(piece);
    context_.correlation = &correlation_;
    context_.debug = &patched_debug_;
    context_.identity = identity_ ? &*identity_ : nullptr;
    context_.shipped = in_.shipped;
    context_.vmlinux = in_.vmlinux;
    context_.exports = in_.exports;
    context_.object = in_.object;
    context_.provided = in_.provided;
    for (const auto& [name, because] : in_.anew) context_.anew_elsewhere.insert(name);
    context_.partial_symbols = in_.partial_symbols;
    context_.provided.emplace(elf::kRuntimePatch);
    const ReferencePolicy policy(context_);

    PlanInput input;
    input.patched = &patched_;
    input.tables = &patched_tables_;
    input.policy = &policy;
    input.context = &context_;
    input.unit = in_.unit;
    input.source = file_symbol(*in_.patched);
    input.wanted = in_.wanted;
    input.keep_new_globals = in_.carry_new_globals;
    input.ignore_lateness = in_.ignore_lateness;
    input.shared = chosen_.shared;
    input.callbacks = chosen_.callbacks;
    input.states = marks_.states;
    input.carried = close(patched_, patched_tables_, policy, chosen_.roots);
    name_replaced(input);
    check_carried(input.carried);
    check_resized_data(input.carried);
    const bool escapes = find_escapes(patched_, policy, input.carried, in_.object, in_.unit, result_.findings);
    PlanResult planned = plan(input, result_.findings);
    report_missing_of_unused(input.carried, policy);
    result_.plan = std::move(planned.object);
    result_.plan.escapes = escapes;
    result_.outside = chosen_.outside;
    result_.special_entries = std::move(planned.special_entries);
    result_.tested_keys = std::move(planned.tested_keys);
    result_.klp_relocations = planned.klp_relocations;
    report_carried(input);
    carried_ = std::move(input.carried);
  }

  /// A new function that nothing here uses is not carried. Where the kernel lacks what it calls, the files that define
  /// and use the two are missing from the patch, which may only be right as a whole.
  void report_missing_of_unused(const std::vector<Carried>& carried, const ReferencePolicy& policy) {
    std::unordered_set<const Piece*> known;
    for (const Carried& c : carried) known.insert(c.piece);
    for (const Piece& piece : patched_.all()) {
      if (piece.kind != PieceKind::function || piece.symbol->is_local() || known.count(&piece) != 0 || is_init(piece) ||
          correlation_.original_of(&piece) != nullptr)
        continue;
      for (const elf::Relocation& r : patched_.relocations(piece)) {
        if (patched_.arch().field_kind(r).width == 0) continue;
        const Reference reference = patched_.resolve(r);
        if (reference.kind != Reference::Kind::external) continue;
        const Decision decision = policy.decide(reference, piece, false);
        if (decision.treatment != Treatment::refuse || decision.missing.empty()) continue;
        result_.findings.add(
            {Severity::refusal,
             decision.code,
             in_.object,
             in_.unit,
             std::string(piece.name()),
             fmt::format("{} (this new function is for a file that the patch lacks)", decision.message),
             decision.hint,
             false,
             {},
             decision.missing});
        break;
      }
    }
  }

  /// Old name and position of every replaced function, from the shipped binary.
  void name_replaced(PlanInput& input) {
    for (const Root& root : chosen_.roots) {
      const Piece* original = correlation_.original_of(root.piece);
      if (original == nullptr || !root.redirected) continue;
      const elf::Symbol* shipped = identity_ ? identity_->shipped_symbol(*original) : nullptr;
      if (shipped == nullptr || !shipped->is_defined()) {
        refuse("missing-symbol", root.piece->name(), fmt::format("the shipped {} has no such function", in_.object),
               "check that source, config and compiler are those of the shipped kernel");
        continue;
      }
      if (!elf::SymbolIndex::in_kallsyms(*shipped, in_.object != "vmlinux")) {
        refuse("missing-symbol", root.piece->name(), "the function is not in the kernel's symbol table",
               "it cannot be redirected");
        continue;
      }
      PlanFunction f;
      f.old_name = shipped->name;
      f.sympos = in_.shipped->sympos(*shipped);
      input.functions.emplace_back(root.piece, f);
    }
  }

  void check_carried(const std::vector<Carried>& carried) {
    for (const Carried& c : carried) {
      if (is_init(*c.piece) || is_exit(*c.piece)) {
        result_.findings.add({Severity::refusal, "init-code", in_.object, in_.unit, std::string(c.piece->name()),
                              fmt::format("__init or __exit code or data is {}", c.because),
                              "do not refer to it from code that is patched", false});
      }
    }
  }

  /// The old value of changed data may stay, if the author says so; but code that was compiled for another size of it
  /// would read and write beyond it.
  void check_resized_data(const std::vector<Carried>& carried) {
    std::map<std::string, std::string, std::less<>> used;  // the refused data's name, how it is used
    for (const DataChange* change : chosen_.refused_data) {
      if (change->original->size == change->patched->size || chosen_.anew.count(change->patched) != 0) continue;
      for (const Carried& c : carried) {
        if (refers_to(*c.piece, *change->patched))
          used.emplace(change->patched->name(), fmt::format("; {} is compiled for the new size", c.piece->name()));
      }
    }
    result_.findings.for_each([&](Finding& finding) {
      const auto found = used.find(finding.symbol);
      if (found == used.end() || finding.code != "changed-data") return;
      finding.message += found->second;
      finding.hint = "leave its type and size as they are: such code would go beyond the running kernel's";
      finding.acceptable = false;
    });
  }

  bool refers_to(const Piece& from, const Piece& to) const {
    const auto relocations = patched_.relocations(from);
    return std::any_of(relocations.begin(), relocations.end(), [&](const elf::Relocation& r) {
      return patched_.arch().field_kind(r).width != 0 && patched_.resolve(r).piece == &to;
    });
  }

  void report_carried(const PlanInput& input) {
    std::unordered_map<const Piece*, const Carried*> by_piece;
    for (const Carried& c : input.carried) by_piece[c.piece] = &c;
    std::unordered_map<const Piece*, const PlanFunction*> replaced;
    for (const auto& [piece, function] : input.functions) replaced[piece] = &function;
    for (const Carried& c : input.carried) {
      const Piece* piece = c.piece;
      if (piece->symbol == nullptr) continue;
      const std::vector<std::string> because = explanations_->chain(c, by_piece);
      const Piece* original = correlation_.original_of(piece);
      if (piece->kind == PieceKind::function) {
        const auto found = replaced.find(piece);
        const bool is_replaced = found != replaced.end();
        const char* change = chosen_.lifted.count(piece) != 0                         ? "lifted"
                             : chosen_.replaced.count(piece) != 0                     ? "changed"
                             : original != nullptr || patched_.leader(piece) != piece ? "bundled"
                                                                                      : "new";
        add_function(*piece, change, is_replaced, is_replaced ? found->second->sympos : 0,
                     original != nullptr ? original->size : 0, piece->size, because);
      } else {
        const bool own = is_private_static(*piece) || is_constant_local(*piece);
        const auto anew = chosen_.anew.find(piece);
        if (anew == chosen_.anew.end())
          result_.data.push_back({std::string(piece->name()), own ? "bundled" : "new", true,
                                  std::string(piece->section->name), piece->size, because});
        else
          add_changed_data(*piece, true, anew->second);
      }
    }
  }

  /// Functions and variables of this file that the patch changes and that are behind nothing in the module.
  void report_left_out() {
    std::set<std::string, std::less<>> told;
    for (const FunctionReport& f : result_.functions) told.insert(f.name);
    for (const DataReport& d : result_.data) told.insert(d.name);
    for (const Finding& f : result_.findings.list()) told.insert(f.symbol);
    result_.left_out = explanations_->left_out(told, in_.unit, patched_);
  }

  void add_function(const Piece& piece, const char* change, bool patched, uint64_t sympos, uint64_t old_size,
                    uint64_t new_size, std::vector<std::string> because) {
    FunctionReport report{std::string(piece.name()), change, patched, sympos, old_size, new_size, {}, 0,
                          std::move(because)};
    const std::string plain = report.name.substr(0, report.name.find('.'));
    const auto& places = std::string_view(change) == "removed" ? original_debug_.functions : patched_debug_.functions;
    if (const auto place = places.find(plain); place != places.end()) {
      report.file = place->second.file;
      report.line = place->second.line;
    }
    result_.functions.push_back(std::move(report));
  }

  const UnitInput& in_;
  elf::Disassembler disassembler_;
  Pieces original_, patched_;
  Tables original_tables_, patched_tables_;
  elf::DebugInfo original_debug_, patched_debug_;
  Correlation correlation_;
  ChangeSet changes_;
  std::optional<UnitTypes> types_;
  std::optional<Explanations> explanations_;
  std::optional<Pieces> as_shipped_pieces_;
  std::optional<Identity> as_shipped_;
  std::optional<Identity> identity_;
  ReferenceContext context_;
  Roots chosen_;
  std::vector<Carried> carried_;
  AuthorMarks marks_;
  UnitResult result_;
};

}  // namespace

UnitResult analyse(const UnitInput& input) {
  check(input.original->type() == 1 && input.patched->type() == 1, "{}: not a relocatable object", input.unit);
  check(input.original->machine() == input.patched->machine(), "{}: the two objects are for different machines",
        input.unit);
  return with_context(input.unit, [&] { return UnitAnalysis(input).run(); });
}

std::set<std::string, std::less<>> new_globals(const elf::ElfObject& original, const elf::ElfObject& patched) {
  std::set<std::string, std::less<>> result;
  for (const elf::Symbol& s : patched.symbols()) {
    if (!s.is_defined() || s.is_local() || s.is_section()) continue;
    const auto before = original.symbols_named(s.name);
    if (std::none_of(before.begin(), before.end(), [](const elf::Symbol* b) { return !b->is_local(); }))
      result.emplace(s.name);
  }
  return result;
}

std::set<std::string, std::less<>> undefined_names(const elf::ElfObject& patched) {
  std::set<std::string, std::less<>> result;
  for (const elf::Symbol& s : patched.symbols()) {
    if (s.is_undefined() && !s.name.empty()) result.emplace(s.name);
  }
  return result;
}

}  // namespace klp::diff
