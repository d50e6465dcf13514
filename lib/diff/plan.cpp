// Every carried piece becomes a section of the patch object, strings are gathered into one section, table entries into
// one section per table. Fields are zeroed: the loader refuses a site that is not (arch/x86/kernel/module.c:
// apply_relocate_add).
#include "diff/plan.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "diff/detours.h"
#include "diff/key_tests.h"
#include "diff/late_entries.h"
#include "diff/plan_outside.h"
#include "diff/plan_sections.h"
#include "diff/plan_strings.h"
#include "diff/run_time_constants.h"
#include "diff/section_use.h"
#include "diff/unknown_sections.h"
#include "elf/relocation_name.h"
#include "support/error.h"

namespace klp::diff {
namespace {

class Planner : PlanSections {
 public:
  Planner(const PlanInput& input, Findings& findings)
      : PlanSections(input.patched->arch()), in_(input), findings_(findings) {}

  PlanResult run() {
    object_.unit = in_.unit;
    object_.source = in_.source;
    object_.object = in_.context->object;
    object_.machine = in_.patched->object().machine();
    object_.flags = in_.patched->object().flags();
    for (const Carried& c : in_.carried) add_piece(*c.piece);
    for (const Carried& c : in_.carried) relocate_piece(*c.piece);
    for (const Carried& c : in_.carried) {
      if (c.piece->kind == PieceKind::function) add_tables(*c.piece);
    }
    if (!silent_tracepoints_.empty())
      findings_.add(silent_tracepoints(silent_tracepoints_, in_.context->object, in_.unit));
    for (const auto& [piece, function] : in_.functions) {
      PlanFunction f = function;
      f.symbol = symbols_.at(piece);
      object_.functions.push_back(f);
    }
    for (const auto& [piece, kind] : in_.callbacks) object_.callbacks.push_back({kind, symbols_.at(piece)});
    object_.states = in_.states;
    report_unknown_sections(in_, findings_);
    if (!strings_.empty()) lay_out_strings(object_, object_.symbols[string_symbol()].section, strings_, arch_);
    result_.object = std::move(object_);
    return std::move(result_);
  }

 private:
  struct Site {
    const Piece* owner;  // whose code or data it is, for messages and decisions
    size_t section;      // of the plan
    uint64_t offset;     // of the field in it
    bool in_table = false;
    bool patched_at_load = false;
  };

  void add_piece(const Piece& piece) {
    const bool has_data = piece.section->has_data();
    const uint64_t padding = in_.patched->padding(piece), start = piece.offset - padding;
    const auto data = padding == 0 ? piece.data() : piece.section->data.subspan(start, padding + piece.size);
    const size_t index = add_section(*piece.section, own_section_name(piece), data, has_data ? 0 : piece.size);
    // A piece in the middle of a shared section is aligned as far as its offset says.
    if (start % section(index).addralign != 0) section(index).addralign = start & (~start + 1);
    check(section(index).addralign <= kMaxAlignment, "{}: alignment {:#x} is more than a module can have",
          piece.section->name, section(index).addralign);
    if (piece.symbol == nullptr) {
      symbols_[&piece] = section_symbol(index);
      return;
    }
    constexpr uint8_t kVisibility = 3;
    const elf::Symbol* wanted = wanted_name(piece);
    const bool global = wanted != nullptr;
    const elf::Symbol& named = global ? *wanted : *piece.symbol;
    symbols_[&piece] =
        add_symbol({std::string(named.name), index, padding, piece.size, global ? elf::kStbGlobal : elf::kStbLocal,
                    named.type, static_cast<uint8_t>(named.other & ~kVisibility)});
  }

  /// Only what other units of the patch refer to stays global: nothing else may bind to a replacement directly. And the
  /// trampolines of new static calls: objtool knows them by their names, if they are global (tools/objtool/check.c:
  /// classify_symbols, 6.12).
  const elf::Symbol* wanted_name(const Piece& piece) const {
    const bool shared = in_.shared.count(&piece) != 0;
    if (!shared && in_.context->correlation->original_of(&piece) != nullptr) return nullptr;
    std::vector<const elf::Symbol*> names = piece.aliases;
    names.insert(names.begin(), piece.symbol);
    for (const elf::Symbol* s : names) {
      const bool wanted = in_.keep_new_globals || in_.wanted.count(s->name) != 0 || s->name.starts_with("__SCT__");
      if (!s->is_local() && (shared || wanted)) return s;
    }
    return nullptr;
  }

  void relocate_piece(const Piece& piece) {
    const PlanSymbol& own = object_.symbols[symbols_.at(&piece)];
    const size_t index = own.section;
    const uint64_t start = own.value;
    auto ranges = rewritten_ranges(piece, *in_.tables, *in_.patched);
    for (const Detour& d : site_detours(piece, detour_context()))
      std::erase_if(ranges, [&](const auto& range) { return range.first == d.start; });
    if (piece.section->name.starts_with(".data..percpu") && !in_.patched->relocations(piece).empty()) {
      refuse({&piece, index, 0}, "unsupported-section",
             "a new per-cpu variable is initialised with an address, which the module loader does not fill in "
             "(kernel/module/main.c: apply_relocations)",
             "set it up in a callback");
    }
    relocate_prefix(piece, index);
    for (const elf::Relocation& r : in_.patched->relocations(piece)) {
      const uint64_t at = r.offset - piece.offset;
      if (const auto call = arch_.dormant_ftrace_call(piece.data(), r, piece.offset)) {
        wake_ftrace_call(*call, r, {&piece, index, start + at});
        continue;
      }
      const bool patched = std::any_of(ranges.begin(), ranges.end(),
                                       [&](const auto& range) { return at >= range.first && at < range.second; });
      relocate(r, {&piece, index, start + at, false, patched});
    }
    if (piece.kind != PieceKind::function) return;
    for (const elf::Instruction& i : in_.patched->code(piece)) {
      if (const auto outward = in_.patched->outward_branch(piece, i))
        relocate_branch(i, *outward, {&piece, index, start + i.offset, false, false});
    }
  }

  void relocate_prefix(const Piece& piece, size_t index) {
    for (const elf::Relocation& r : in_.patched->prefix_relocations(piece)) {
      const uint64_t at = r.offset - piece.start();
      clear_field(index, at, r);
      PlanRelocation planned;
      planned.offset = at;
      planned.type = r.type;
      planned.target = PlanRelocation::Target::plain;
      planned.name = r.symbol->name;
      planned.addend = r.addend;
      section(index).relocations.push_back(std::move(planned));
    }
  }

  void wake_ftrace_call(const arch::Arch::DormantCall& call, const elf::Relocation& r, const Site& site) {
    auto& data = section(site.section).data;
    data[site.offset - 1] = call.opcode;
    Reference reference;
    reference.kind = Reference::Kind::external;
    reference.symbol = r.symbol;
    PlanRelocation planned;
    planned.offset = site.offset;
    planned.type = call.type;
    planned.addend = call.addend;
    std::fill_n(data.begin() + static_cast<int64_t>(site.offset), 4, std::byte{0});
    if (bind(reference, site, planned)) section(site.section).relocations.push_back(std::move(planned));
  }

  /// A branch that the assembler resolved inside a shared section: in the module the two functions do not stay
  /// together.
  void relocate_branch(const elf::Instruction& branch, const Reference& reference, Site site) {
    const auto field = arch_.branch_field(branch);
    if (!field) {
      refuse(site, "unsupported-relocation",
             fmt::format("jumps to {} in its own section by a short jump, which cannot be lengthened",
                         reference.piece->name()),
             "move the function out of its section (e.g. drop __sched), or change its callers instead");
      return;
    }
    site.offset += field->offset;
    elf::Relocation like;
    like.offset = site.offset;
    like.type = field->type;
    like.section = site.owner->section;
    clear_field(site.section, site.offset, like);
    PlanRelocation planned;
    planned.offset = site.offset;
    planned.type = field->type;
    planned.addend = arch_.addend_for(planned.type, reference.offset, field->bias);
    if (bind(reference, site, planned)) section(site.section).relocations.push_back(std::move(planned));
  }

  void relocate(const elf::Relocation& r, const Site& site) {
    if (arch_.field_kind(r).width == 0) return;
    clear_field(site.section, site.offset, r);
    if (!arch_.loader_accepts(r.type)) {
      refuse(site, "unsupported-relocation",
             fmt::format("relocation {} is not applied by the module loader",
                         elf::relocation_name(object_.machine, r.type)),
             "report this code");
      return;
    }
    const Reference reference = in_.patched->resolve(r);
    if (reference.slot == nullptr) return refer(r.type, reference, site);
    const auto slot = slot_for(reference, site);
    if (!slot) return;
    PlanRelocation planned;
    planned.offset = site.offset;
    planned.type = r.type;
    planned.symbol = section_symbol(slot_section_);
    planned.addend = arch_.addend_for(r.type, static_cast<int64_t>(*slot), reference.bias);
    section(site.section).relocations.push_back(std::move(planned));
  }

  /// Makes the field at `site` refer to what the reference means.
  void refer(uint32_t type, const Reference& reference, const Site& site) {
    PlanRelocation planned;
    planned.offset = site.offset;
    planned.type = type;
    planned.addend = arch_.addend_for(type, reference.offset, reference.bias);
    if (reference.kind == Reference::Kind::string) {
      planned.symbol = string_symbol();
      strings_.push_back({reference, site.section, site.offset});
    } else if (!bind(reference, site, planned)) {
      return;
    }
    section(site.section).relocations.push_back(std::move(planned));
  }

  /// The offset of the module's own slot that holds what the reference loads. Code that means different things by one
  /// slot (a replaced function's address means the original, but not in its own parts) gets different ones.
  std::optional<uint64_t> slot_for(Reference reference, const Site& site) {
    const elf::Relocation& slot = *reference.slot;
    if (slot_section_ == SIZE_MAX) slot_section_ = add_section(*slot.section, std::string(slot.section->name), {});
    reference.bias = arch_.bias(slot, 0);
    const uint64_t width = arch_.field_kind(slot).width;
    const uint64_t at = section(slot_section_).data.size();
    const size_t before = section(slot_section_).relocations.size();
    refer(slot.type, reference, {site.owner, slot_section_, at, site.in_table, site.patched_at_load});
    auto& made = section(slot_section_).relocations;
    if (made.size() == before) return std::nullopt;
    const auto [known, is_new] = slots_.try_emplace({&slot, made.back().target, made.back().symbol}, at);
    if (is_new) {
      section(slot_section_).data.resize(at + width);
    } else {
      made.pop_back();
      if (reference.kind == Reference::Kind::string) strings_.pop_back();
    }
    return known->second;
  }

  /// Fills in the target; false when it was refused.
  bool bind(const Reference& reference, const Site& site, PlanRelocation& planned) {
    const Decision decision = in_.policy->decide(reference, *site.owner, site.in_table);
    switch (decision.treatment) {
      case Treatment::none:
        return false;
      case Treatment::refuse:
        refuse(site, decision.code, decision.message, decision.hint, decision.missing);
        return false;
      case Treatment::plain:
        planned.target = PlanRelocation::Target::plain;
        planned.name = decision.name;
        if (!decision.name_space.empty()) object_.namespaces.insert(decision.name_space);
        return may_leave(reference, site, planned, decision.name, false);
      case Treatment::klp:
        planned.target = PlanRelocation::Target::klp;
        planned.klp = decision.klp;
        note_noreturn(decision.klp);
        ++result_.klp_relocations;
        if (!may_leave(reference, site, planned, decision.klp.symbol, decision.late())) return false;
        if (decision.late() && (site.in_table || site.patched_at_load) && !in_.ignore_lateness) {
          refuse(
              site, section(site.section).name == "__jump_table" ? "module-static-key" : "unsupported-relocation",
              fmt::format("{} refers to {} of module {}, which is resolved after the kernel has used this entry",
                          section(site.section).name, decision.klp.symbol, decision.klp.symbol_object),
              "keep what the kernel rewrites (static keys, alternatives) in functions that do not change");
          return false;
        }
        return true;
      case Treatment::carry:
      case Treatment::direct:
        break;
    }
    const auto found = symbols_.find(decision.piece);
    check(found != symbols_.end(), "{} refers to {}, which is not carried", site.owner->name(), decision.piece->name());
    planned.symbol = found->second;
    if (decision.piece->kind == PieceKind::function && is_by_section(reference)) {
      const PlanSymbol& symbol = object_.symbols[found->second];
      planned.addend += static_cast<int64_t>(symbol.value);
      planned.symbol = section_symbol(symbol.section);
    }
    return true;
  }

  void note_noreturn(const elf::KlpReference& reference) {
    const elf::DebugInfo* debug = in_.context->debug;
    const bool is_named = reference.symbol_object == "vmlinux" && reference.sympos == 0;
    if (debug != nullptr && is_named && debug->noreturn.contains(reference.symbol))
      object_.noreturn.insert(reference.symbol);
  }

  /// The assembler refers to local code by its section, and objtool takes a jump to a function's symbol for a call of
  /// another function, wherever it leads (tools/objtool/check.c: add_jump_destinations, 6.12).
  static bool is_by_section(const Reference& reference) {
    const elf::Relocation* r = reference.slot != nullptr ? reference.slot : reference.relocation;
    return r == nullptr || r->symbol->is_section();
  }

  /// Whether the loader can make the field lead to `name`, which lies outside of the module.
  bool may_leave(const Reference& reference, const Site& site, const PlanRelocation& planned, const std::string& name,
                 bool late) {
    const uint64_t code_offset = site.offset - site.owner->prefix;
    const auto obstacle =
        obstacle_outside(arch_, {object_, section(site.section), planned, name, reference.branch, late, code_offset});
    if (obstacle) refuse(site, obstacle->code, obstacle->message, obstacle->hint);
    return !obstacle;
  }

  void refuse(const Site& site, const std::string& code, const std::string& message, const std::string& hint,
              const std::string& refers_to = {}) {
    const std::string key = code + "/" + message + "/" + std::string(site.owner->name());
    if (!told_.insert(key).second) return;
    Finding finding{
        Severity::refusal, code, in_.context->object, in_.unit, std::string(site.owner->name()), message, hint, false};
    finding.refers_to = refers_to;
    findings_.add(std::move(finding));
  }

  // --- tables ---

  DetourContext detour_context() const { return {in_.patched, in_.tables, in_.policy, in_.ignore_lateness}; }

  void add_tables(const Piece& function) {
    const size_t symbol = symbols_.at(&function);
    appended_.clear();
    for (const Detour& d : site_detours(function, detour_context())) {
      const PlanSymbol& own = object_.symbols[symbol];
      appended_.push_back(place(d, *this, own.section, own.value + d.start, symbol));
      object_.late_entries.push_back(planned(d, function, detour_context()));
    }
    for (const TableEntry& entry : in_.tables->of(&function)) add_entry(function, entry);
    add_ranges(*function.section, function.offset, function.size, symbol, 0, appended_);
  }

  /// What holds in [start, start + size) of a code section, said for its copy at `symbol` + `at`. Code behind it has
  /// what the site has that jumps there.
  void add_ranges(const elf::Section& code, uint64_t start, uint64_t size, size_t symbol, uint64_t at,
                  const std::vector<AppendedCode>& appended = {}) {
    const auto ranges = in_.tables->ranges(code, start, start + size);
    if (ranges.empty()) return;
    const auto add_range = [&](const TableEntry& entry, uint64_t offset, bool state) {
      PlanSections::add_range(in_.patched->object(), entry, symbol, offset, state);
      ++result_.special_entries[std::string(entry.section->name)];
    };
    for (const TableEntry& entry : ranges) add_range(entry, at + static_cast<uint64_t>(entry.owner_offset), true);
    for (const AppendedCode& test : appended) {
      const auto behind = std::find_if(ranges.begin() + 1, ranges.end(), [&](const TableEntry& entry) {
        return entry.owner_offset > static_cast<int64_t>(test.site);
      });
      add_range(*std::prev(behind), test.start, true);
    }
    add_range(ranges.back(), appended.empty() ? at + size : appended.back().end, false);
  }

  /// Copies an entry and pads it: the last one of a table may lack its padding (.parainstructions).
  void add_entry(const Piece& function, const TableEntry& entry) {
    if (entry.spec->constant_size != 0) return add_constant(function, entry);
    switch_off_branch(entry, function, *in_.patched, object_, symbols_.at(&function));
    const LateEntry late = in_.ignore_lateness ? LateEntry{} : late_entry(entry, function, *in_.patched, *in_.policy);
    if (late.treatment != LateEntry::Treatment::carry)
      object_.late_entries.push_back(planned(late, entry, function, *in_.patched));
    if (late.treatment == LateEntry::Treatment::switch_off) {
      silent_tracepoints_.insert(late.tracepoint);
      object_.dead_branches.insert(std::string(in_.patched->leader(&function)->name()));
    }
    if (late.treatment == LateEntry::Treatment::test_key) return add_key_test(function, entry);
    if (late.treatment != LateEntry::Treatment::carry) return;
    const size_t index = table_section(*entry.section, entry.spec->loader_name);
    const uint64_t start = append(index, entry.section->data.subspan(entry.offset, entry.size));
    section(index).data.resize(start + entry.layout->size);
    if (!entry.spec->for_build_tools) ++result_.special_entries[std::string(entry.section->name)];
    const std::optional<Fragment> fragment = fragment_of(*in_.patched, entry);
    for (const elf::Relocation* r : relocations_of(entry)) {
      const uint64_t field = r->offset - entry.offset;
      if (!fragment || !fragment->is_field(field)) relocate(*r, {&function, index, start + field, true, false});
    }
    if (fragment) add_fragment(function, entry, *fragment, index, start);
  }

  void add_constant(const Piece& function, const TableEntry& entry) {
    const RunTimeConstant constant = run_time_constant(entry, function, in_);
    const Site site{&function, object_.symbols[symbols_.at(&function)].section, 0, true};
    const Decision& variable = constant.variable;
    if (variable.treatment == Treatment::refuse)
      return refuse(site, variable.code, variable.message, variable.hint, variable.missing);
    PlanConstant planned;
    planned.symbol = symbols_.at(&function);
    planned.offset = static_cast<uint64_t>(entry.owner_offset);
    planned.size = entry.spec->constant_size;
    planned.variable.target =
        variable.treatment == Treatment::klp ? PlanRelocation::Target::klp : PlanRelocation::Target::plain;
    planned.variable.name = variable.name;
    planned.variable.klp = variable.klp;
    planned.variable_size = constant.variable_size;
    if (variable.treatment == Treatment::klp) ++result_.klp_relocations;
    if (!variable.name_space.empty()) object_.namespaces.insert(variable.name_space);
    ++result_.special_entries[std::string(entry.section->name)];
    object_.constants.push_back(std::move(planned));
  }

  void add_key_test(const Piece& function, const TableEntry& entry) {
    KeyTest test = *key_test(entry, function, *in_.patched);
    PlanSymbol& symbol = object_.symbols[symbols_.at(&function)];
    const size_t index = symbol.section;
    appended_.push_back(place(test, section(index), symbol));
    const uint64_t start = symbol.value + appended_.back().start;
    ++result_.tested_keys[std::string(entry.section->name)];
    test.key.bias = test.code.key_to_pc;
    test.taken.bias = sizeof(uint32_t);
    refer(arch_.relative_type(), test.key, {&function, index, start + test.code.key, false, false});
    refer(arch_.relative_type(), test.taken, {&function, index, start + test.code.taken, true, false});
  }

  /// The fragment goes into its own section, and entries that other tables have for it (return and retpoline sites) go
  /// along. The copy of its entry is at `start` of the section `index`.
  void add_fragment(const Piece& function, const TableEntry& entry, const Fragment& fragment, size_t index,
                    uint64_t start) {
    // An empty replacement may point anywhere; the site itself always exists.
    size_t symbol = symbols_.at(&function);
    uint64_t at = 0;
    if (fragment.size > 0) {
      const size_t code = table_section(*fragment.piece->section);
      at = append(code, fragment.piece->data().subspan(fragment.start, fragment.size));
      const auto detour = replacement_detour(entry, fragment, function, detour_context());
      for (const elf::Relocation* inner : relocations_of(*in_.patched, fragment)) {
        const uint64_t offset = at + (inner->offset - fragment.piece->offset - fragment.start);
        relocate(*inner, {&function, code, offset, false, fragment.copied_at_load && !detour});
      }
      if (detour) {
        appended_.push_back(place(*detour, *this, code, at, symbol));
        object_.late_entries.push_back(planned(*detour, function, detour_context()));
        section(index).data[start + entry.layout->replacement->second] = kJumpSize;
      }
      symbol = section_symbol(code);
    }
    for (const elf::Relocation* r : relocations_of(entry)) {
      const uint64_t field = r->offset - entry.offset;
      if (!fragment.is_field(field)) continue;
      clear_field(index, start + field, *r);
      PlanRelocation planned;
      planned.offset = start + field;
      planned.type = r->type;
      planned.symbol = symbol;
      const uint64_t target = at + (field == fragment.field ? 0 : fragment.size);
      planned.addend = arch_.addend_for(r->type, static_cast<int64_t>(target), arch_.bias(*r, 0));
      section(index).relocations.push_back(planned);
    }
    if (fragment.size == 0) return;
    add_entries_for_fragment(fragment, symbol, at);
    add_ranges(*fragment.piece->section, fragment.piece->offset + fragment.start, fragment.size, symbol, at);
  }

  void add_entries_for_fragment(const Fragment& fragment, size_t symbol, uint64_t start) {
    for (const TableEntry& entry : in_.tables->of(fragment.piece)) {
      const auto at = static_cast<uint64_t>(entry.owner_offset);
      if (at < fragment.start || at >= fragment.start + fragment.size) continue;
      check(entry.spec->constant_size == 0, "{}: a run-time constant in code that is copied over other code",
            entry.section->name);
      const size_t index = table_section(*entry.section);
      check(relocations_of(entry).size() == 1 && entry.layout->fields.size() == 1 && entry.size == entry.layout->size,
            "{}: entry at {:#x} belongs to code of another table, which this table is not known to have",
            entry.section->name, entry.offset);
      const uint64_t offset = append(index, entry.section->data.subspan(entry.offset, entry.size));
      if (!entry.spec->for_build_tools) ++result_.special_entries[std::string(entry.section->name)];
      const elf::Relocation* owner = relocations_of(entry).front();
      clear_field(index, offset, *owner);
      PlanRelocation planned;
      planned.offset = offset;
      planned.type = owner->type;
      planned.symbol = symbol;
      planned.addend = static_cast<int64_t>(start + at - fragment.start);
      section(index).relocations.push_back(planned);
    }
  }

  const PlanInput& in_;
  Findings& findings_;
  PlanResult result_;
  std::unordered_map<const Piece*, size_t> symbols_;
  std::vector<StringUse> strings_;
  size_t slot_section_ = SIZE_MAX;
  std::map<std::tuple<const elf::Relocation*, PlanRelocation::Target, size_t>, uint64_t> slots_;
  std::set<std::string> told_, silent_tracepoints_;
  std::vector<AppendedCode> appended_;  ///< to the function whose tables are being added
};

}  // namespace

PlanResult plan(const PlanInput& input, Findings& findings) {
  return Planner(input, findings).run();
}

}  // namespace klp::diff
