#include "verify/plan_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "elf/klp_abi.h"
#include "support/bytes.h"
#include "support/error.h"

namespace klp::verify {
namespace {

class PlanCheck {
 public:
  PlanCheck(const elf::ElfObject& module, const std::vector<diff::PatchObject>& plan) : module_(module), plan_(plan) {}

  void run() {
    read_klp_sections();
    for (const diff::PatchObject& object : plan_) {
      with_context(object.unit, [&] {
        for (size_t i = 0; i < object.symbols.size(); ++i) check_symbol(object, i);
      });
    }
    check_klp_total();
    check_functions();
    check_callbacks();
    check_states();
    check_constants();
    for (const elf::Symbol& s : module_.symbols()) {
      check(!elf::parse_travel_name(s.name), "the reference {} was not converted", s.name);
    }
  }

 private:
  /// Which patched object each live klp relocation belongs to: the records of ElfObject are merged by target section.
  void read_klp_sections() {
    for (const elf::Section& s : module_.sections()) {
      if ((s.flags & elf::kShfRelaLivepatch) == 0) continue;
      const auto object = elf::klp_rela_object(s.name);
      check(object.has_value(), "{}: not a name the kernel parses", s.name);
      klp_total_ += s.size / 24;
      for (uint64_t at = 0; at + 24 <= s.data.size(); at += 24) {
        owner_[{s.info, read_le<uint64_t>(s.data, at)}] = *object;
      }
    }
  }

  void check_symbol(const diff::PatchObject& object, size_t index) {
    const diff::PlanSymbol& symbol = object.symbols[index];
    if (symbol.name.empty()) return;
    const diff::PlanSection& section = object.sections[symbol.section];
    std::string problem = "is not in the module";
    for (const elf::Symbol* s : module_.symbols_named(symbol.name)) {
      if (s->type != symbol.type || s->size != symbol.size || s->section->name != section.name) continue;
      problem = s->value < symbol.value ? "has nothing in front of it" : difference(object, section, *s, symbol.value);
      if (problem.empty()) return;
    }
    fail("{}: {}", symbol.name, problem);
  }

  /// What of a planned section is not as planned where `symbol`, `value` bytes behind its start, says it lies; empty
  /// when all is.
  std::string difference(const diff::PatchObject& object, const diff::PlanSection& planned, const elf::Symbol& symbol,
                         uint64_t value) const {
    const elf::Section& section = *symbol.section;
    const uint64_t start = symbol.value - value;
    if (section.has_data()) {
      const auto bytes = slice(section.data, start, planned.data.size());
      if (!std::equal(bytes.begin(), bytes.end(), planned.data.begin())) return "has other bytes than planned";
    }
    std::map<uint64_t, const elf::Relocation*> there;
    for (const elf::Relocation& r : section.relocations) {
      if (r.offset >= start && r.offset < start + planned.data.size()) there[r.offset - start] = &r;
    }
    if (there.size() != planned.relocations.size())
      return fmt::format("has {} relocations, planned were {}", there.size(), planned.relocations.size());
    for (const diff::PlanRelocation& r : planned.relocations) {
      const auto found = there.find(r.offset);
      if (found == there.end() || !same(object, r, *found->second))
        return fmt::format("+{:#x}: another relocation than planned", r.offset);
    }
    return {};
  }

  bool same(const diff::PatchObject& object, const diff::PlanRelocation& planned, const elf::Relocation& r) const {
    if (planned.type != r.type) return false;
    switch (planned.target) {
      case diff::PlanRelocation::Target::klp: {
        const auto owner = owner_.find({r.section->index, r.offset});
        return r.symbol->place == elf::SymbolPlace::livepatch && r.symbol->name == elf::klp_symbol_name(planned.klp) &&
               r.addend == planned.addend && owner != owner_.end() && owner->second == planned.klp.patched_object;
      }
      case diff::PlanRelocation::Target::plain:
        return r.symbol->name == planned.name && r.addend == planned.addend;
      case diff::PlanRelocation::Target::symbol:
        break;
    }
    const diff::PlanSymbol& symbol = object.symbols[planned.symbol];
    // A section of the same name in another unit may lie in front: only the section can be held against the plan then.
    if (symbol.name.empty())
      return r.symbol->is_defined() && r.symbol->section->name == object.sections[symbol.section].name;
    return r.symbol->is_defined() && (r.symbol->name == symbol.name || r.symbol->is_section());
  }

  void check_klp_total() const {
    size_t planned = 0;
    for (const diff::PatchObject& object : plan_) {
      for (const diff::PlanSection& s : object.sections) {
        planned += static_cast<size_t>(std::count_if(s.relocations.begin(), s.relocations.end(), [](const auto& r) {
          return r.target == diff::PlanRelocation::Target::klp;
        }));
      }
      planned += static_cast<size_t>(std::count_if(object.constants.begin(), object.constants.end(), [](const auto& c) {
        return c.variable.target == diff::PlanRelocation::Target::klp;
      }));
    }
    planned += references_of(elf::kConstantsWriter) + references_of(elf::kSitesClearer);
    check(planned == klp_total_, "{} klp relocations, planned were {}", klp_total_, planned);
  }

  /// The klp relocations of a function of lib/runtime.
  size_t references_of(std::string_view function) const {
    size_t result = 0;
    for (const elf::Symbol* symbol : module_.symbols_named(function)) {
      if (!symbol->is_defined() || symbol->bind != elf::kStbGlobal) continue;
      for (const elf::Relocation& r : symbol->section->relocations) {
        const bool inside = r.offset >= symbol->value && r.offset - symbol->value < symbol->size;
        result += inside && r.symbol->place == elf::SymbolPlace::livepatch ? 1 : 0;
      }
    }
    return result;
  }

  void check_functions() const {
    std::multiset<std::string> planned, there;
    for (const diff::PatchObject& object : plan_) {
      for (const diff::PlanFunction& f : object.functions) {
        planned.insert(
            fmt::format("{}:{},{} -> {}", object.object, f.old_name, f.sympos, object.symbols[f.symbol].name));
      }
    }
    for (const elf::Section& s : module_.sections()) {
      if (s.name != elf::kFuncsSection) continue;
      for (uint64_t at = 0; at + elf::kFuncsEntrySize <= s.data.size(); at += elf::kFuncsEntrySize) {
        there.insert(fmt::format("{}:{},{} -> {}", text_at(s, at, "vmlinux"), text_at(s, at + 8, "?"),
                                 read_le<uint64_t>(s.data, at + 24), function_at(s, at + 16)));
      }
    }
    check(planned == there, "the table of replaced functions has {} entries that are not the {} planned ones",
          there.size(), planned.size());
  }

  void check_callbacks() const {
    std::multiset<std::string> planned, there;
    for (const diff::PatchObject& object : plan_) {
      for (const diff::PlanCallback& c : object.callbacks) {
        planned.insert(
            fmt::format("{} {} {}", object.object, static_cast<uint64_t>(c.kind), object.symbols[c.symbol].name));
      }
    }
    for (const elf::Section& s : module_.sections()) {
      if (s.name != elf::kCallbacksSection) continue;
      for (uint64_t at = 0; at + elf::kCallbacksEntrySize <= s.data.size(); at += elf::kCallbacksEntrySize) {
        there.insert(fmt::format("{} {} {}", text_at(s, at, "vmlinux"), read_le<uint64_t>(s.data, at + 16),
                                 function_at(s, at + 8)));
      }
    }
    check(planned == there, "the table of callbacks has {} entries that are not the {} planned ones", there.size(),
          planned.size());
  }

  void check_states() const {
    std::multiset<std::pair<uint64_t, uint64_t>> planned, there;
    for (const diff::PatchObject& object : plan_) {
      for (const diff::PlanState& s : object.states) planned.emplace(s.id, s.version);
    }
    for (const elf::Section& s : module_.sections()) {
      if (s.name != elf::kStatesSection) continue;
      for (uint64_t at = 0; at + elf::kStatesEntrySize <= s.data.size(); at += elf::kStatesEntrySize)
        there.emplace(read_le<uint64_t>(s.data, at), read_le<uint64_t>(s.data, at + 8));
    }
    check(planned == there, "the table of states has {} entries that are not the {} planned ones", there.size(),
          planned.size());
  }

  /// Each has its place in the code, its variable and the two sizes; the code there is checked with its function.
  void check_constants() const {
    std::multiset<std::string> planned, there;
    for (const diff::PatchObject& object : plan_) {
      for (const diff::PlanConstant& c : object.constants) {
        const bool klp = c.variable.target == diff::PlanRelocation::Target::klp;
        planned.insert(fmt::format("{}+{:#x} {} {} {}", object.symbols[c.symbol].name, c.offset,
                                   klp ? elf::klp_symbol_name(c.variable.klp) : c.variable.name, c.size,
                                   c.variable_size));
      }
    }
    for (const elf::Section& s : module_.sections()) {
      if (s.name != elf::kConstantsSection) continue;
      for (uint64_t at = 0; at + elf::kConstantsEntrySize <= s.data.size(); at += elf::kConstantsEntrySize) {
        const elf::Relocation* variable = field(s, at + 8);
        there.insert(fmt::format("{} {} {} {}", place_at(s, at), variable == nullptr ? "?" : variable->symbol->name,
                                 read_le<uint64_t>(s.data, at + 16), read_le<uint64_t>(s.data, at + 24)));
      }
    }
    check(planned == there, "the table of run-time constants has {} entries that are not the {} planned ones",
          there.size(), planned.size());
    check(planned.empty() || references_of(elf::kConstantsWriter) != 0,
          "nothing in the module writes its run-time constants");
  }

  static const elf::Relocation* field(const elf::Section& s, uint64_t offset) {
    const auto found = std::find_if(s.relocations.begin(), s.relocations.end(),
                                    [&](const elf::Relocation& r) { return r.offset == offset; });
    return found == s.relocations.end() ? nullptr : &*found;
  }
  static std::string text_at(const elf::Section& s, uint64_t offset, const char* without) {
    const elf::Relocation* r = field(s, offset);
    if (r == nullptr || !r->symbol->is_defined()) return without;
    return std::string(read_c_string(r->symbol->section->data, r->symbol->value + static_cast<uint64_t>(r->addend)));
  }
  static std::string function_at(const elf::Section& s, uint64_t offset) {
    const elf::Relocation* r = field(s, offset);
    if (r == nullptr || !r->symbol->is_defined()) return "?";
    const uint64_t value = r->symbol->value + static_cast<uint64_t>(r->addend);
    for (const elf::Symbol* f : r->symbol->section->symbols) {
      if (f->is_function() && f->value == value) return std::string(f->name);
    }
    return "?";
  }

  /// Function and offset in it.
  static std::string place_at(const elf::Section& s, uint64_t offset) {
    const elf::Relocation* r = field(s, offset);
    if (r == nullptr || !r->symbol->is_defined()) return "?";
    const uint64_t value = r->symbol->value + static_cast<uint64_t>(r->addend);
    for (const elf::Symbol* f : r->symbol->section->symbols) {
      if (f->is_function() && f->value <= value && value - f->value < f->size)
        return fmt::format("{}+{:#x}", f->name, value - f->value);
    }
    return "?";
  }

  const elf::ElfObject& module_;
  const std::vector<diff::PatchObject>& plan_;
  std::map<std::pair<uint32_t, uint64_t>, std::string> owner_;
  size_t klp_total_ = 0;
};

}  // namespace

void check_against_plan(const elf::ElfObject& module, const std::vector<diff::PatchObject>& plan) {
  with_context("the finished module is not as planned", [&] { PlanCheck(module, plan).run(); });
}

}  // namespace klp::verify
