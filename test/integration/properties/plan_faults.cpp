#include "plan_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "unit_pair.h"

namespace klp::test {
namespace {

using diff::PlanRelocation;
using diff::PlanSection;

constexpr uint32_t kRPc32 = 2, kRPlt32 = 4;
// Of ppc64le: a call, and a note for the linker that says nothing else.
constexpr uint32_t kPowerRel24 = 10, kPowerEntry = 118;
constexpr size_t kCompared = 8;

class FunctionCheck {
 public:
  FunctionCheck(const diff::PatchObject& plan, const diff::PlanSymbol& symbol, const elf::Symbol& function)
      : plan_(plan), symbol_(symbol), function_(function) {}

  std::string run() {
    const PlanSection& section = plan_.sections[symbol_.section];
    std::vector<const elf::Relocation*> expected;
    for (const elf::Relocation& r : function_.section->relocations) {
      if (r.offset >= function_.value && r.offset < function_.value + function_.size && r.type != 0 &&
          r.type != kPowerEntry)
        expected.push_back(&r);
    }
    for (const PlanRelocation& planned : section.relocations) {
      if (planned.offset < symbol_.value) continue;  // in front of the function, the same for all
      const auto found = std::find_if(expected.begin(), expected.end(), [&](const elf::Relocation* r) {
        return r->offset - function_.value + symbol_.value == planned.offset;
      });
      if (found == expected.end()) {
        // A call that the assembler resolved within its section has become a relocation.
        if (planned.type != kRPlt32 && planned.type != kRPc32 && planned.type != kPowerRel24)
          fault(planned, "is not in the object");
        continue;
      }
      check(planned, **found);
      expected.erase(found);
    }
    for (const elf::Relocation* r : expected) {
      // The long way of static_cpu_has() is never taken in a module: its site is rewritten before.
      if (r->symbol->is_section() && r->symbol->section->name == ".altinstr_aux") continue;
      text_ += fmt::format("{}+{:#x}: no relocation\n", function_.name, r->offset - function_.value);
    }
    return std::move(text_);
  }

 private:
  void fault(const PlanRelocation& r, const std::string& what) {
    text_ += fmt::format("{}+{:#x}: {}\n", function_.name, r.offset - symbol_.value, what);
  }

  void check(const PlanRelocation& planned, const elf::Relocation& object) {
    if (planned.type != object.type) fault(planned, "other type");
    if (const elf::Relocation* slot = slot_of(object)) {
      const PlanRelocation* ours = slot_of(planned);
      if (ours == nullptr) return fault(planned, "loads no address");
      return check(*ours, *slot);
    }
    if (planned.target == PlanRelocation::Target::symbol) {
      check_content(planned, object);
    } else {
      check_name(planned, planned.target == PlanRelocation::Target::klp ? planned.klp.symbol : planned.name, object);
    }
  }

  /// What is loaded from .toc is what the code refers to.
  static const elf::Relocation* slot_of(const elf::Relocation& r) {
    if (!r.symbol->is_defined() || r.symbol->section->name != ".toc") return nullptr;
    for (const elf::Relocation& slot : r.symbol->section->relocations) {
      if (slot.offset == r.symbol->value + static_cast<uint64_t>(r.addend)) return &slot;
    }
    return nullptr;
  }
  const PlanRelocation* slot_of(const PlanRelocation& r) const {
    if (r.target != PlanRelocation::Target::symbol) return nullptr;
    const PlanSection& section = plan_.sections[plan_.symbols[r.symbol].section];
    for (const PlanRelocation& slot : section.relocations) {
      if (section.name == ".toc" && slot.offset == static_cast<uint64_t>(r.addend)) return &slot;
    }
    return nullptr;
  }

  /// The name stands for a symbol of the object at the same distance.
  void check_name(const PlanRelocation& planned, const std::string& name, const elf::Relocation& object) {
    if (!object.symbol->is_defined()) {
      if (name != object.symbol->name || planned.addend != object.addend) fault(planned, "is not " + name);
      return;
    }
    const int64_t target = static_cast<int64_t>(object.symbol->value) + object.addend;
    for (const elf::Symbol* s : object.symbol->section->symbols) {
      const bool same_name = plain_data_name(s->name) == plain_data_name(name);
      if (same_name && static_cast<int64_t>(s->value) + planned.addend == target) return;
    }
    fault(planned, fmt::format("{}{:+#x} is something else", name, planned.addend));
  }

  /// What is carried has the same bytes there, and one string is one copy.
  void check_content(const PlanRelocation& planned, const elf::Relocation& object) {
    const diff::PlanSymbol& to = plan_.symbols[planned.symbol];
    const PlanSection& section = plan_.sections[to.section];
    if (!object.symbol->is_defined()) return fault(planned, fmt::format("{} is carried", object.symbol->name));
    const elf::Section& from = *object.symbol->section;
    if (from.is_exec()) {
      if (!to.name.empty() && planned.addend != object.addend && !object.symbol->is_section())
        fault(planned, "into another place of " + to.name);
      return;
    }
    // From the field to the end of the instruction there may be an immediate of up to 4 bytes.
    int64_t bias = object.type == kRPc32 ? 4 : 0;
    while (bias >= 4 && bias < 8 && planned.addend + bias < 0) ++bias;
    const int64_t a = static_cast<int64_t>(object.symbol->value) + object.addend + bias, b = planned.addend + bias;
    if (!object.symbol->is_section() && from.is_strings()) {
      const auto [known, fresh] = distances_.try_emplace(object.symbol, planned.addend - object.addend);
      if (!fresh && known->second != planned.addend - object.addend)
        fault(planned, fmt::format("{} is in two copies", object.symbol->name));
      const int64_t start = planned.addend - object.addend;
      compare(planned, from, static_cast<int64_t>(object.symbol->value), section, start);
      return;
    }
    compare(planned, from, a, section, b);
  }

  void compare(const PlanRelocation& planned, const elf::Section& from, int64_t a, const PlanSection& section,
               int64_t b) {
    const uint64_t size = section.data.empty() ? section.nobits_size : section.data.size();
    if (a < 0 || b < 0 || static_cast<uint64_t>(b) > size) {
      if (a >= 0) fault(planned, fmt::format("outside of {}", section.name));
      return;
    }
    if (section.data.empty() || !from.has_data() || !section.relocations.empty()) return;
    for (size_t i = 0; i < kCompared; ++i) {
      const uint64_t x = static_cast<uint64_t>(a) + i, y = static_cast<uint64_t>(b) + i;
      if (x >= from.size || y >= size) return;
      if (from.data[x] != section.data[y]) return fault(planned, "other bytes in " + section.name);
      if (from.is_strings() && from.data[x] == std::byte{0}) return;
    }
  }

  const diff::PatchObject& plan_;
  const diff::PlanSymbol& symbol_;
  const elf::Symbol& function_;
  std::map<const elf::Symbol*, int64_t> distances_;
  std::string text_;
};

}  // namespace

std::string plan_faults(const elf::ElfObject& patched, const diff::PatchObject& plan) {
  std::string text;
  for (const diff::PlanSymbol& symbol : plan.symbols) {
    if (symbol.type != elf::kSttFunc) continue;
    const auto found = patched.symbols_named(symbol.name);
    if (found.size() != 1) continue;
    text += FunctionCheck(plan, symbol, *found.front()).run();
  }
  return text;
}

}  // namespace klp::test
