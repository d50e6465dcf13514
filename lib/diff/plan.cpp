// Every carried piece becomes a section of the patch object, strings are gathered into one section, table entries into
// one section per table. Fields are zeroed: the loader refuses a site that is not (arch/x86/kernel/module.c:
// apply_relocate_add).
#include "diff/plan.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include <fmt/ranges.h>

#include "diff/late_entries.h"
#include "diff/plan_strings.h"
#include "diff/run_time_constants.h"
#include "diff/section_use.h"
#include "diff/unknown_sections.h"
#include "elf/relocation_name.h"
#include "support/error.h"

namespace klp::diff {
namespace {

class Planner {
 public:
  Planner(const PlanInput& input, Findings& findings) : in_(input), findings_(findings), arch_(input.patched->arch()) {}

  PlanResult run() {
    PatchObject& object = result_.object;
    object.unit = in_.unit;
    object.source = in_.source;
    object.object = in_.context->object;
    object.machine = in_.patched->object().machine();
    for (const Carried& c : in_.carried) add_piece(*c.piece);
    for (const Carried& c : in_.carried) relocate_piece(*c.piece);
    for (const Carried& c : in_.carried) {
      if (c.piece->kind == PieceKind::function) add_tables(*c.piece);
    }
    tell_silent_tracepoints();
    for (const auto& [piece, function] : in_.functions) {
      PlanFunction f = function;
      f.symbol = symbols_.at(piece);
      object.functions.push_back(f);
    }
    for (const auto& [piece, kind] : in_.callbacks) object.callbacks.push_back({kind, symbols_.at(piece)});
    object.states = in_.states;
    report_unknown_sections(in_, findings_);
    if (!strings_.empty()) lay_out_strings(object, object.symbols[string_symbol()].section, strings_, arch_);
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

  PlanSection& section(size_t index) { return result_.object.sections[index]; }

  size_t add_section(const elf::Section& like, std::string name, std::span<const std::byte> data, uint64_t nobits = 0) {
    PlanSection s;
    s.name = std::move(name);
    s.type = like.type;
    s.flags = like.flags & (elf::kShfWrite | elf::kShfAlloc | elf::kShfExec);
    s.addralign = like.addralign;
    check(like.has_data() || data.empty(), "{}: has content, but none in the file", like.name);
    s.data.assign(data.begin(), data.end());
    s.nobits_size = nobits;
    result_.object.sections.push_back(std::move(s));
    return result_.object.sections.size() - 1;
  }

  size_t add_symbol(PlanSymbol symbol) {
    result_.object.symbols.push_back(std::move(symbol));
    return result_.object.symbols.size() - 1;
  }

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
    const elf::Symbol* wanted = wanted_name(piece);
    const bool global = wanted != nullptr;
    const elf::Symbol& named = global ? *wanted : *piece.symbol;
    symbols_[&piece] = add_symbol(
        {std::string(named.name), index, padding, piece.size, global ? elf::kStbGlobal : elf::kStbLocal, named.type});
  }

  /// Only what other units of the patch refer to stays global: nothing else may bind to a replacement directly.
  const elf::Symbol* wanted_name(const Piece& piece) const {
    const bool shared = in_.shared.count(&piece) != 0;
    if (!shared && in_.context->correlation->original_of(&piece) != nullptr) return nullptr;
    std::vector<const elf::Symbol*> names = piece.aliases;
    names.insert(names.begin(), piece.symbol);
    for (const elf::Symbol* s : names) {
      if (!s->is_local() && (shared || in_.keep_new_globals || in_.wanted.count(s->name) != 0)) return s;
    }
    return nullptr;
  }

  void relocate_piece(const Piece& piece) {
    const PlanSymbol& own = result_.object.symbols[symbols_.at(&piece)];
    const size_t index = own.section;
    const uint64_t start = own.value;
    const auto ranges = patched_ranges(piece);
    if (piece.section->name.starts_with(".data..percpu") && !in_.patched->relocations(piece).empty()) {
      refuse({&piece, index, 0}, "unsupported-section",
             "a new per-cpu variable is initialised with an address, which the module loader does not fill in "
             "(kernel/module/main.c: apply_relocations)",
             "set it up in a callback");
    }
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
    constexpr uint64_t kWidth = 4;
    if (branch.size <= kWidth) {
      refuse(site, "unsupported-relocation",
             fmt::format("jumps to {} in its own section by a short jump, which cannot be lengthened",
                         reference.piece->name()),
             "move the function out of its section (e.g. drop __sched), or change its callers instead");
      return;
    }
    auto& data = section(site.section).data;
    site.offset += branch.size - kWidth;
    std::fill_n(data.begin() + static_cast<int64_t>(site.offset), kWidth, std::byte{0});
    PlanRelocation planned;
    planned.offset = site.offset;
    planned.type = arch_.relative_type();
    planned.addend = arch_.addend_for(planned.type, reference.offset, kWidth);
    if (bind(reference, site, planned)) section(site.section).relocations.push_back(std::move(planned));
  }

  /// Byte ranges of a function that the kernel rewrites while it loads the module.
  std::vector<std::pair<uint64_t, uint64_t>> patched_ranges(const Piece& piece) const {
    std::vector<std::pair<uint64_t, uint64_t>> result;
    if (piece.kind != PieceKind::function) return result;
    for (const TableEntry& entry : in_.tables->of(&piece)) {
      if (!entry.layout->site_length || entry.owner_offset < 0) continue;
      const auto length = static_cast<uint64_t>(entry.section->data[entry.offset + *entry.layout->site_length]);
      result.emplace_back(entry.owner_offset, static_cast<uint64_t>(entry.owner_offset) + length);
    }
    return result;
  }

  void clear_field(size_t index, uint64_t offset, const elf::Relocation& r) {
    auto& data = section(index).data;
    const uint64_t width = arch_.field_kind(r).width;
    check(offset + width <= data.size(), "{}: relocation at {:#x} reaches over the end", section(index).name, offset);
    std::fill_n(data.begin() + static_cast<int64_t>(offset), width, std::byte{0});
  }

  void relocate(const elf::Relocation& r, const Site& site) {
    if (arch_.field_kind(r).width == 0) return;
    clear_field(site.section, site.offset, r);
    const Reference reference = in_.patched->resolve(r);
    PlanRelocation planned;
    planned.offset = site.offset;
    planned.type = r.type;
    planned.addend = arch_.addend_for(r.type, reference.offset, reference.field_to_pc);
    if (!arch_.loader_accepts(r.type)) {
      refuse(site, "unsupported-relocation",
             fmt::format("relocation {} is not applied by the module loader",
                         elf::relocation_name(result_.object.machine, r.type)),
             "report this code");
      return;
    }
    if (reference.kind == Reference::Kind::string) {
      planned.symbol = string_symbol();
      strings_.push_back({reference, site.section, section(site.section).relocations.size()});
    } else if (!bind(reference, site, planned)) {
      return;
    }
    section(site.section).relocations.push_back(std::move(planned));
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
        if (!decision.name_space.empty()) result_.object.namespaces.insert(decision.name_space);
        return true;
      case Treatment::klp:
        planned.target = PlanRelocation::Target::klp;
        planned.klp = decision.klp;
        ++result_.klp_relocations;
        if (decision.late() && (site.in_table || site.patched_at_load)) {
          refuse(
              site, section(site.section).name == "__jump_table" ? "module-static-key" : "unsupported-relocation",
              fmt::format("{} refers to {} of module {}, which is resolved after the kernel has used this entry",
                          section(site.section).name, decision.klp.symbol, decision.klp.symbol_object),
              "avoid static keys, static calls and alternatives on the module's own symbols in the changed function");
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
      const PlanSymbol& symbol = result_.object.symbols[found->second];
      planned.addend += static_cast<int64_t>(symbol.value);
      planned.symbol = section_symbol(symbol.section);
    }
    return true;
  }

  /// The assembler refers to local code by its section, and objtool takes a jump to a function's symbol for a call of
  /// another function, wherever it leads (tools/objtool/check.c: add_jump_destinations, 6.12).
  static bool is_by_section(const Reference& reference) {
    return reference.relocation == nullptr || reference.relocation->symbol->is_section();
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

  // --- strings ---

  size_t string_symbol() {
    if (string_symbol_ == SIZE_MAX) {
      PlanSection s;
      s.name = ".rodata.klp_str";
      s.type = elf::kShtProgbits;
      s.flags = elf::kShfAlloc;
      s.addralign = 1;
      result_.object.sections.push_back(std::move(s));
      string_symbol_ = section_symbol(result_.object.sections.size() - 1);
    }
    return string_symbol_;
  }

  // --- tables ---

  size_t table_section(const elf::Section& like) {
    const auto [slot, made] = table_sections_.try_emplace(std::string(like.name), 0);
    if (made) slot->second = add_section(like, std::string(like.name), {});
    return slot->second;
  }

  void add_tables(const Piece& function) {
    for (const TableEntry& entry : in_.tables->of(&function)) add_entry(function, entry);
    add_ranges(*function.section, function.offset, function.size, symbols_.at(&function), 0);
  }

  /// What holds in [start, start + size) of a code section, said for its copy at `symbol` + `at`.
  void add_ranges(const elf::Section& code, uint64_t start, uint64_t size, size_t symbol, uint64_t at) {
    const auto ranges = in_.tables->ranges(code, start, start + size);
    for (const TableEntry& entry : ranges)
      add_range(entry, symbol, at + static_cast<uint64_t>(entry.owner_offset), true);
    if (!ranges.empty()) add_range(ranges.back(), symbol, at + size, false);
  }

  /// Copies an entry and pads it: the last one of a table may lack its padding (.parainstructions).
  void add_entry(const Piece& function, const TableEntry& entry) {
    if (entry.spec->constant_size != 0) return add_constant(function, entry);
    switch_off_branch(function, entry);
    const LateEntry late = late_entry(entry, function, *in_.patched, *in_.policy);
    if (late.treatment == LateEntry::Treatment::switch_off) silent_tracepoints_.insert(late.tracepoint);
    if (late.treatment != LateEntry::Treatment::carry) return;
    const size_t index = table_section(*entry.section);
    const uint64_t start = append(index, entry.section->data.subspan(entry.offset, entry.size));
    section(index).data.resize(start + entry.layout->size);
    if (!entry.spec->for_build_tools) ++result_.special_entries[std::string(entry.section->name)];
    const std::optional<Fragment> fragment = fragment_of(*in_.patched, entry);
    for (const elf::Relocation* r : relocations_of(entry)) {
      const uint64_t field = r->offset - entry.offset;
      if (fragment && field == fragment->field) {
        add_fragment(function, *fragment, index, start + field, *r);
      } else {
        relocate(*r, {&function, index, start + field, true, false});
      }
    }
  }

  void add_constant(const Piece& function, const TableEntry& entry) {
    const RunTimeConstant constant = run_time_constant(entry, function, in_);
    const Site site{&function, result_.object.symbols[symbols_.at(&function)].section, 0, true};
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
    if (!variable.name_space.empty()) result_.object.namespaces.insert(variable.name_space);
    ++result_.special_entries[std::string(entry.section->name)];
    result_.object.constants.push_back(std::move(planned));
  }

  /// objtool does so too where it runs at the link, but only for branches that keep their entry.
  void switch_off_branch(const Piece& function, const TableEntry& entry) {
    const auto code = branch_placeholder(entry, function, *in_.patched);
    if (code.empty()) return;
    const PlanSymbol& symbol = result_.object.symbols[symbols_.at(&function)];
    const uint64_t start = symbol.value + static_cast<uint64_t>(entry.owner_offset), end = start + code.size();
    PlanSection& text = section(symbol.section);
    std::copy(code.begin(), code.end(), text.data.begin() + static_cast<int64_t>(start));
    std::erase_if(text.relocations, [&](const PlanRelocation& r) { return r.offset >= start && r.offset < end; });
  }

  /// Once for the whole unit, and about no function in particular: which one calls them changes nothing for the user.
  void tell_silent_tracepoints() {
    if (silent_tracepoints_.empty()) return;
    findings_.add({Severity::warning, "module-static-key", in_.context->object, in_.unit, "",
                   fmt::format("these tracepoints never fire from the replaced functions, even when enabled: {} (the "
                               "kernel reads a jump-label key of a module before livepatch has resolved it)",
                               fmt::join(silent_tracepoints_, ", ")),
                   "harmless unless you trace them; to trace them, disable the livepatch meanwhile", false});
  }

  uint64_t append(size_t index, std::span<const std::byte> bytes) {
    auto& data = section(index).data;
    const uint64_t start = data.size();
    data.insert(data.end(), bytes.begin(), bytes.end());
    return start;
  }

  /// The fragment goes into its own section, and entries that other tables have for it (return and retpoline sites) go
  /// along.
  void add_fragment(const Piece& function, const Fragment& fragment, size_t index, uint64_t field,
                    const elf::Relocation& r) {
    clear_field(index, field, r);
    PlanRelocation planned;
    planned.offset = field;
    planned.type = r.type;
    if (fragment.size == 0) {
      // An empty replacement may point anywhere; the site itself always exists.
      planned.symbol = symbols_.at(&function);
      planned.addend = 0;
      section(index).relocations.push_back(planned);
      return;
    }
    const elf::Section& from = *fragment.piece->section;
    const size_t code = table_section(from);
    const uint64_t start = append(code, fragment.piece->data().subspan(fragment.start, fragment.size));
    const size_t symbol = section_symbol(code);
    for (const elf::Relocation* inner : relocations_of(*in_.patched, fragment)) {
      const uint64_t at = start + (inner->offset - fragment.piece->offset - fragment.start);
      relocate(*inner, {&function, code, at, false, fragment.copied_at_load});
    }
    planned.symbol = symbol;
    planned.addend = static_cast<int64_t>(start);
    section(index).relocations.push_back(planned);
    add_entries_for_fragment(fragment, symbol, start);
    add_ranges(from, fragment.piece->offset + fragment.start, fragment.size, symbol, start);
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

  size_t section_symbol(size_t index) {
    const auto [slot, made] = section_symbols_.try_emplace(index, 0);
    if (made) slot->second = add_symbol({"", index, 0, 0, elf::kStbLocal, elf::kSttSection});
    return slot->second;
  }

  /// One record of a table of ranges, saying what holds from `symbol` + `offset` on. Without `state` it marks the
  /// end: all zeros mean "unknown", which is what objtool writes behind the last instruction of a section.
  void add_range(const TableEntry& entry, size_t symbol, uint64_t offset, bool state) {
    const elf::Section* parallel = in_.patched->object().maybe_section(entry.spec->parallel);
    const uint64_t number = entry.offset / entry.size;
    const uint64_t size = entry.spec->parallel_size;
    check(parallel != nullptr && (number + 1) * size <= parallel->data.size(), "{}: no record for entry {}",
          entry.spec->parallel, number);
    const size_t index = table_section(*entry.section);
    const uint64_t start = append(index, std::vector<std::byte>(entry.size));
    append(table_section(*parallel),
           state ? parallel->data.subspan(number * size, size) : std::span<const std::byte>(kEndMark, size));
    ++result_.special_entries[std::string(entry.section->name)];
    PlanRelocation planned;
    planned.offset = start;
    planned.type = arch_.relative_type();
    planned.symbol = symbol;
    planned.addend = static_cast<int64_t>(offset);
    section(index).relocations.push_back(planned);
  }

  static constexpr std::byte kEndMark[16] = {};

  const PlanInput& in_;
  Findings& findings_;
  const arch::Arch& arch_;
  PlanResult result_;
  std::unordered_map<const Piece*, size_t> symbols_;
  std::map<std::string, size_t> table_sections_;
  std::map<size_t, size_t> section_symbols_;
  std::vector<StringUse> strings_;
  size_t string_symbol_ = SIZE_MAX;
  std::set<std::string> told_, silent_tracepoints_;
};

}  // namespace

PlanResult plan(const PlanInput& input, Findings& findings) {
  return Planner(input, findings).run();
}

}  // namespace klp::diff
