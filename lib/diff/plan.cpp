// Every carried piece becomes a section of the patch object, strings are gathered into one section, table entries into
// one section per table. Fields are zeroed: the loader refuses a site that is not (arch/x86/kernel/module.c:
// apply_relocate_add).
#include "diff/plan.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "elf/relocation_name.h"
#include "support/error.h"

namespace klp::diff {
namespace {

std::string section_name_for(const Piece& piece) {
  // Functions of shared sections (.ref.text, .sched.text) get one of their own; what the shared section stood for does
  // not hold in a module.
  if (piece.kind == PieceKind::function && !piece.section->name.starts_with(".text."))
    return fmt::format(".text.{}", piece.name());
  return std::string(piece.section->name);
}

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
    for (const auto& [piece, function] : in_.functions) {
      PlanFunction f = function;
      f.symbol = symbols_.at(piece);
      object.functions.push_back(f);
    }
    check_unknown_sections();
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
    s.data.assign(data.begin(), data.end());
    s.nobits_size = nobits;
    result_.object.sections.push_back(std::move(s));
    return result_.object.sections.size() - 1;
  }

  size_t add_symbol(std::string name, size_t section_index, uint64_t size, uint8_t bind, uint8_t type) {
    result_.object.symbols.push_back({std::move(name), section_index, size, bind, type});
    return result_.object.symbols.size() - 1;
  }

  void add_piece(const Piece& piece) {
    const bool has_data = piece.section->has_data();
    const size_t index = add_section(*piece.section, section_name_for(piece), piece.data(), has_data ? 0 : piece.size);
    // A piece in the middle of a shared section is aligned as far as its offset says.
    if (piece.offset % section(index).addralign != 0) section(index).addralign = piece.offset & (~piece.offset + 1);
    if (piece.symbol == nullptr) {
      symbols_[&piece] = add_symbol("", index, 0, elf::kStbLocal, elf::kSttSection);
      return;
    }
    const elf::Symbol* wanted = wanted_name(piece);
    const bool global = wanted != nullptr;
    const elf::Symbol& named = global ? *wanted : *piece.symbol;
    symbols_[&piece] =
        add_symbol(std::string(named.name), index, piece.size, global ? elf::kStbGlobal : elf::kStbLocal, named.type);
  }

  /// Only what other units of the patch refer to stays global: nothing else may bind to a replacement directly.
  const elf::Symbol* wanted_name(const Piece& piece) const {
    if (in_.context->correlation->original_of(&piece) != nullptr) return nullptr;
    std::vector<const elf::Symbol*> names = piece.aliases;
    names.insert(names.begin(), piece.symbol);
    for (const elf::Symbol* s : names) {
      if (!s->is_local() && in_.wanted.count(s->name) != 0) return s;
    }
    return nullptr;
  }

  void relocate_piece(const Piece& piece) {
    const size_t index = result_.object.symbols[symbols_.at(&piece)].section;
    const auto ranges = patched_ranges(piece);
    if (piece.section->name.starts_with(".data..percpu") && !in_.patched->relocations(piece).empty()) {
      refuse({&piece, index, 0}, "unsupported-section",
             "a new per-cpu variable is initialised with an address, which the module loader does not fill in "
             "(kernel/module/main.c: apply_relocations)",
             "set it up in a callback");
    }
    for (const elf::Relocation& r : in_.patched->relocations(piece)) {
      const uint64_t at = r.offset - piece.offset;
      const bool patched = std::any_of(ranges.begin(), ranges.end(),
                                       [&](const auto& range) { return at >= range.first && at < range.second; });
      relocate(r, {&piece, index, at, false, patched});
    }
    if (piece.kind != PieceKind::function) return;
    for (const elf::Instruction& i : in_.patched->code(piece)) {
      if (const auto outward = in_.patched->outward_branch(piece, i))
        relocate_branch(i, *outward, {&piece, index, i.offset, false, false});
    }
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
      if (!entry.spec->site_length || entry.owner_offset < 0) continue;
      const auto length = static_cast<uint64_t>(entry.section->data[entry.offset + *entry.spec->site_length]);
      result.emplace_back(entry.owner_offset, static_cast<uint64_t>(entry.owner_offset) + length);
    }
    return result;
  }

  void relocate(const elf::Relocation& r, const Site& site) {
    const arch::FieldKind field = arch_.field_kind(r);
    if (field.width == 0) return;
    auto& data = section(site.section).data;
    check(site.offset + field.width <= data.size(), "{}: relocation at {:#x} behind the end",
          section(site.section).name, site.offset);
    std::fill_n(data.begin() + static_cast<int64_t>(site.offset), field.width, std::byte{0});
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
      planned.addend = arch_.addend_for(r.type, static_cast<int64_t>(string_offset(reference)), reference.field_to_pc);
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
        refuse(site, decision.code, decision.message, decision.hint);
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
    return true;
  }

  void refuse(const Site& site, const std::string& code, const std::string& message, const std::string& hint) {
    const std::string key = code + "/" + message + "/" + std::string(site.owner->name());
    if (!told_.insert(key).second) return;
    findings_.add({Severity::refusal, code, in_.context->object, in_.unit, std::string(site.owner->name()), message,
                   hint, false});
  }

  // --- strings ---

  size_t string_symbol() {
    if (string_symbol_ == SIZE_MAX) {
      PlanSection s;
      s.name = ".rodata.klp_str";
      s.type = elf::kShtProgbits;
      s.flags = elf::kShfAlloc;
      s.addralign = 8;
      result_.object.sections.push_back(std::move(s));
      string_symbol_ = add_symbol("", result_.object.sections.size() - 1, 0, elf::kStbLocal, elf::kSttSection);
    }
    return string_symbol_;
  }

  uint64_t string_offset(const Reference& reference) {
    const elf::Section& from = *reference.relocation->symbol->section;
    const uint64_t width = std::max<uint64_t>(from.entsize, 1);
    auto& data = section(result_.object.symbols[string_symbol()].section).data;
    const auto [slot, made] = strings_.try_emplace(std::pair{width, std::string(reference.string)}, 0);
    if (made) {
      while (data.size() % std::max<uint64_t>(from.addralign, width) != 0) data.push_back(std::byte{0});
      slot->second = data.size();
      const auto* bytes = reinterpret_cast<const std::byte*>(reference.string.data());
      data.insert(data.end(), bytes, bytes + reference.string.size());
      data.insert(data.end(), width, std::byte{0});
    }
    return slot->second;
  }

  // --- tables ---

  size_t table_section(const elf::Section& like) {
    const auto [slot, made] = table_sections_.try_emplace(std::string(like.name), 0);
    if (made) slot->second = add_section(like, std::string(like.name), {});
    return slot->second;
  }

  void add_tables(const Piece& function) {
    for (const TableEntry& entry : in_.tables->of(&function)) add_entry(function, entry);
    const auto ranges = in_.tables->ranges(&function);
    for (const TableEntry& entry : ranges) add_range(function, entry, static_cast<uint64_t>(entry.owner_offset), true);
    if (!ranges.empty()) add_range(function, ranges.back(), function.size, false);
  }

  /// Copies an entry and pads it: the last one of a table may lack its padding (.parainstructions).
  void add_entry(const Piece& function, const TableEntry& entry) {
    const size_t index = table_section(*entry.section);
    const uint64_t start = append(index, entry.section->data.subspan(entry.offset, entry.size));
    const uint64_t align = std::max<uint64_t>(entry.section->addralign, 1);
    while (section(index).data.size() % align != 0) section(index).data.push_back(std::byte{0});
    ++result_.special_entries[std::string(entry.section->name)];
    for (const elf::Relocation* r : relocations_of(entry)) {
      const uint64_t field = r->offset - entry.offset;
      if (entry.spec->replacement && field == entry.spec->replacement->first) {
        add_replacement(function, entry, index, start + field, *r);
      } else {
        relocate(*r, {&function, index, start + field, true, false});
      }
    }
  }

  uint64_t append(size_t index, std::span<const std::byte> bytes) {
    auto& data = section(index).data;
    const uint64_t start = data.size();
    data.insert(data.end(), bytes.begin(), bytes.end());
    return start;
  }

  /// The copied code goes into its own section, and entries that other tables have for it (return and retpoline sites)
  /// go along.
  void add_replacement(const Piece& function, const TableEntry& entry, size_t index, uint64_t field,
                       const elf::Relocation& r) {
    auto& data = section(index).data;
    std::fill_n(data.begin() + static_cast<int64_t>(field), arch_.field_kind(r).width, std::byte{0});
    const Replacement replacement = replacement_of(*in_.patched, entry);
    PlanRelocation planned;
    planned.offset = field;
    planned.type = r.type;
    if (replacement.size == 0) {
      // An empty replacement may point anywhere; the site itself always exists.
      planned.symbol = symbols_.at(&function);
      planned.addend = 0;
      section(index).relocations.push_back(planned);
      return;
    }
    const size_t code = table_section(*replacement.piece->section);
    const auto bytes = replacement.piece->data().subspan(replacement.start, replacement.size);
    const uint64_t start = append(code, bytes);
    const size_t symbol = section_symbol(code);
    for (const elf::Relocation* inner : relocations_of(*in_.patched, replacement)) {
      relocate(*inner,
               {&function, code, start + (inner->offset - replacement.piece->offset - replacement.start), false, true});
    }
    planned.symbol = symbol;
    planned.addend = static_cast<int64_t>(start);
    section(index).relocations.push_back(planned);
    add_entries_for_replacement(replacement, symbol, start);
  }

  void add_entries_for_replacement(const Replacement& replacement, size_t symbol, uint64_t start) {
    for (const TableEntry& entry : in_.tables->of(replacement.piece)) {
      const auto at = static_cast<uint64_t>(entry.owner_offset);
      if (at < replacement.start || at >= replacement.start + replacement.size) continue;
      const size_t index = table_section(*entry.section);
      check(relocations_of(entry).size() == 1 && entry.spec->fixed_size == entry.size,
            "{}: entry at {:#x} belongs to replacement code, which this table is not known to have",
            entry.section->name, entry.offset);
      const uint64_t offset = append(index, std::vector<std::byte>(entry.size));
      ++result_.special_entries[std::string(entry.section->name)];
      const elf::Relocation* owner = relocations_of(entry).front();
      PlanRelocation planned;
      planned.offset = offset;
      planned.type = owner->type;
      planned.symbol = symbol;
      planned.addend = static_cast<int64_t>(start + at - replacement.start);
      section(index).relocations.push_back(planned);
    }
  }

  size_t section_symbol(size_t index) {
    const auto [slot, made] = section_symbols_.try_emplace(index, 0);
    if (made) slot->second = add_symbol("", index, 0, elf::kStbLocal, elf::kSttSection);
    return slot->second;
  }

  /// One record of a table of ranges, saying what holds from `offset` of the function on. Without `state` it marks the
  /// end: all zeros mean "unknown", which is what objtool writes behind the last instruction of a section.
  void add_range(const Piece& function, const TableEntry& entry, uint64_t offset, bool state) {
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
    planned.symbol = symbols_.at(&function);
    planned.addend = static_cast<int64_t>(offset);
    section(index).relocations.push_back(planned);
  }

  /// An allocated section nobody here knows, with a reference to code that is carried, may be a kernel table that must
  /// not be lost.
  void check_unknown_sections() {
    std::set<std::string_view> told;
    for (const elf::Section& s : in_.patched->object().sections()) {
      if (!s.is_alloc() || s.is_exec() || in_.tables->is_table(s) || is_known(s.name)) continue;
      for (const elf::Relocation& r : s.relocations) {
        if (arch_.field_kind(r).width == 0 || is_known_variable(s, r.offset)) continue;
        const Reference reference = in_.patched->resolve(r);
        if (reference.kind != Reference::Kind::piece || reference.piece->kind != PieceKind::function) continue;
        if (symbols_.count(reference.piece) == 0 || !told.insert(s.name).second) continue;
        findings_.add({Severity::refusal, "unsupported-section", in_.context->object, in_.unit,
                       std::string(reference.piece->name()),
                       fmt::format("section {} refers to this function and its meaning is not known", s.name),
                       "report the section's name"});
      }
    }
  }

  /// A global variable that only lies in a section of its own (__rt_sched_class): it was compared like any other, and
  /// the running kernel's goes on meaning the original functions. Entries of tables are local or have no name.
  bool is_known_variable(const elf::Section& s, uint64_t offset) const {
    const Piece* piece = in_.patched->at(s, offset);
    return piece != nullptr && piece->kind == PieceKind::object && !piece->symbol->is_local() &&
           in_.context->correlation->original_of(piece) != nullptr;
  }

  bool is_known(std::string_view name) const {
    for (const arch::TableSpec& spec : arch_.tables()) {
      if (name == spec.section) return true;
    }
    for (const std::string_view prefix :
         {".data",          ".rodata",       ".bss",      ".discard",       ".init",         ".exit",
          "__ksymtab",      "___ksymtab",    "__kcrctab", "__param",        ".note",         ".con_initcall",
          "__dyndbg",       ".altinstr_aux", ".initcall", ".export_symbol", "__tracepoints", "__bpf_raw_tp_map",
          "_ftrace_events", ".gnu.linkonce"}) {
      if (name.starts_with(prefix)) return true;
    }
    return false;
  }

  static constexpr std::byte kEndMark[16] = {};

  const PlanInput& in_;
  Findings& findings_;
  const arch::Arch& arch_;
  PlanResult result_;
  std::unordered_map<const Piece*, size_t> symbols_;
  std::map<std::string, size_t> table_sections_;
  std::map<size_t, size_t> section_symbols_;
  std::map<std::pair<uint64_t, std::string>, uint64_t> strings_;
  size_t string_symbol_ = SIZE_MAX;
  std::set<std::string> told_;
};

}  // namespace

PlanResult plan(const PlanInput& input, Findings& findings) {
  return Planner(input, findings).run();
}

}  // namespace klp::diff
