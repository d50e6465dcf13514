#include "diff/emit.h"

#include <cstring>
#include <map>
#include <vector>

#include "arch/arch.h"

namespace klp::diff {
namespace {

class Emitter {
 public:
  explicit Emitter(const PatchObject& plan)
      : plan_(plan), arch_(arch::arch_for(plan.machine)), builder_(plan.machine, plan.flags) {}

  elf::ObjectBuilder run() {
    elf::BuilderSymbol file;
    file.name = plan_.source;
    file.type = elf::kSttFile;
    file.place = elf::SymbolPlace::absolute;
    builder_.add_symbol(std::move(file));
    for (const PlanSection& s : plan_.sections) {
      sections_.push_back(&builder_.add_section({s.name, s.type, s.flags, s.addralign, 0, s.data, s.nobits_size, {}}));
    }
    for (const PlanSymbol& s : plan_.symbols) symbols_.push_back(&add_symbol(s));
    for (size_t i = 0; i < plan_.sections.size(); ++i) add_relocations(i);
    add_functions();
    add_callbacks();
    add_states();
    add_constants();
    add_late_entries();
    return std::move(builder_);
  }

 private:
  elf::BuilderSymbol& add_symbol(const PlanSymbol& s) {
    if (s.name.empty()) {
      elf::BuilderSymbol*& known = section_symbols_[s.section];  // section_symbol() searches all symbols
      if (known == nullptr) known = &builder_.section_symbol(*sections_[s.section]);
      return *known;
    }
    elf::BuilderSymbol symbol;
    symbol.name = s.name;
    symbol.value = s.value;
    symbol.size = s.size;
    symbol.other = s.other;
    symbol.bind = s.bind;
    symbol.type = s.type;
    symbol.place = elf::SymbolPlace::section;
    symbol.section = sections_[s.section];
    return builder_.add_symbol(std::move(symbol));
  }

  elf::BuilderSymbol& undefined(const std::string& name, uint8_t bind) {
    const auto [slot, made] = undefined_.try_emplace(name, nullptr);
    if (made) {
      elf::BuilderSymbol symbol;
      symbol.name = name;
      symbol.bind = bind;
      slot->second = &builder_.add_symbol(std::move(symbol));
    }
    return *slot->second;
  }

  elf::BuilderSymbol& target(const PlanRelocation& r) {
    switch (r.target) {
      case PlanRelocation::Target::plain:
        return undefined(r.name, elf::kStbGlobal);
      case PlanRelocation::Target::klp:
        return klp_target(r.klp);
      case PlanRelocation::Target::symbol:
        break;
    }
    return *symbols_[r.symbol];
  }

  /// The travel symbol; where the name must be seen (klp_abi.h), that one, with the travel symbol beside it.
  elf::BuilderSymbol& klp_target(const elf::KlpReference& reference) {
    elf::BuilderSymbol& travel = undefined(elf::travel_name(reference), elf::kStbWeak);
    const bool by_name =
        reference.symbol_object == "vmlinux" && reference.sympos == 0 && plan_.noreturn.contains(reference.symbol);
    return by_name ? undefined(reference.symbol, elf::kStbWeak) : travel;
  }

  void add_relocations(size_t index) {
    for (const PlanRelocation& r : plan_.sections[index].relocations) {
      builder_.relocations(*sections_[index]).push_back({r.offset, r.type, &target(r), r.addend});
    }
  }

  void add_functions() {
    if (plan_.functions.empty()) return;
    elf::BuilderSection& table = add_table(elf::kFuncsSection);
    for (const PlanFunction& f : plan_.functions) {
      const uint64_t start = add_entry(table, elf::kFuncsEntrySize);
      put(table, start + 24, f.sympos);
      add_object_name(table, start);
      add_string(table, start + 8, f.old_name);
      builder_.relocations(table).push_back({start + 16, arch_.absolute_type(), symbols_[f.symbol], 0});
      mark_as_entered_by_ftrace(plan_.symbols[f.symbol]);
    }
  }

  /// A static function whose address nobody takes has no ENDBR, and needs none here: ftrace does not come by an
  /// indirect branch (arch/x86/kernel/ftrace_64.S: ftrace_regs_caller). objtool must know, or it warns of the table's
  /// pointer.
  void mark_as_entered_by_ftrace(const PlanSymbol& function) {
    if (marks_ == nullptr) marks_ = &builder_.add_section({".discard.noendbr", elf::kShtProgbits, 0, 1, 0, {}, 0, {}});
    const uint64_t offset = marks_->data.size();
    marks_->data.resize(offset + 4);
    builder_.relocations(*marks_).push_back({offset, arch_.relative_type(),
                                             &builder_.section_symbol(*sections_[function.section]),
                                             static_cast<int64_t>(function.value)});
  }

  void add_callbacks() {
    if (plan_.callbacks.empty()) return;
    elf::BuilderSection& table = add_table(elf::kCallbacksSection);
    for (const PlanCallback& c : plan_.callbacks) {
      const uint64_t start = add_entry(table, elf::kCallbacksEntrySize);
      add_object_name(table, start);
      builder_.relocations(table).push_back({start + 8, arch_.absolute_type(), symbols_[c.symbol], 0});
      put(table, start + 16, static_cast<uint64_t>(c.kind));
    }
  }

  void add_states() {
    if (plan_.states.empty()) return;
    elf::BuilderSection& table = add_table(elf::kStatesSection);
    for (const PlanState& s : plan_.states) {
      const uint64_t start = add_entry(table, elf::kStatesEntrySize);
      put(table, start, s.id);
      put(table, start + 8, s.version);
    }
  }

  void add_late_entries() {
    if (plan_.late_entries.empty()) return;
    elf::BuilderSection& table =
        builder_.add_section({std::string(elf::kLateSection), elf::kShtProgbits, 0, 1, 0, {}, 0, {}});
    for (const PlanLateEntry& e : plan_.late_entries) {
      for (const std::string& text :
           {plan_.object, e.function, std::to_string(e.offset), e.table, e.key, e.treatment}) {
        const auto* start = reinterpret_cast<const std::byte*>(text.c_str());
        table.data.insert(table.data.end(), start, start + text.size() + 1);
      }
    }
  }

  void add_constants() {
    if (plan_.constants.empty()) return;
    elf::BuilderSection& table = add_table(elf::kConstantsSection);
    for (const PlanConstant& c : plan_.constants) {
      const uint64_t start = add_entry(table, elf::kConstantsEntrySize);
      builder_.relocations(table).push_back(
          {start, arch_.absolute_type(), symbols_[c.symbol], static_cast<int64_t>(c.offset)});
      builder_.relocations(table).push_back({start + 8, arch_.absolute_type(), &target(c.variable), 0});
      put(table, start + 16, c.size);
      put(table, start + 24, c.variable_size);
    }
  }

  /// A table for lib/runtime.
  elf::BuilderSection& add_table(std::string_view name) {
    return builder_.add_section(
        {std::string(name), elf::kShtProgbits, elf::kShfAlloc | elf::kShfWrite, 8, 0, {}, 0, {}});
  }

  static uint64_t add_entry(elf::BuilderSection& table, uint64_t size) {
    const uint64_t start = table.data.size();
    table.data.resize(start + size);
    return start;
  }

  static void put(elf::BuilderSection& table, uint64_t offset, uint64_t value) {
    std::memcpy(table.data.data() + offset, &value, sizeof value);
  }

  /// A null pointer means vmlinux.
  void add_object_name(elf::BuilderSection& table, uint64_t offset) {
    if (plan_.object != "vmlinux") add_string(table, offset, plan_.object);
  }

  void add_string(elf::BuilderSection& table, uint64_t offset, const std::string& text) {
    if (names_ == nullptr)
      names_ = &builder_.add_section({".rodata.klp_names", elf::kShtProgbits, elf::kShfAlloc, 1, 0, {}, 0, {}});
    const auto [slot, made] = name_offsets_.try_emplace(text, static_cast<int64_t>(names_->data.size()));
    if (made) {
      const auto* bytes = reinterpret_cast<const std::byte*>(text.c_str());
      names_->data.insert(names_->data.end(), bytes, bytes + text.size() + 1);
    }
    builder_.relocations(table).push_back(
        {offset, arch_.absolute_type(), &builder_.section_symbol(*names_), slot->second});
  }

  const PatchObject& plan_;
  const arch::Arch& arch_;
  elf::ObjectBuilder builder_;
  std::vector<elf::BuilderSection*> sections_;
  std::vector<elf::BuilderSymbol*> symbols_;
  std::map<size_t, elf::BuilderSymbol*> section_symbols_;
  std::map<std::string, elf::BuilderSymbol*> undefined_;
  elf::BuilderSection *names_ = nullptr, *marks_ = nullptr;
  std::map<std::string, int64_t> name_offsets_;
};

}  // namespace

elf::ObjectBuilder emit(const PatchObject& plan) {
  return Emitter(plan).run();
}

}  // namespace klp::diff
