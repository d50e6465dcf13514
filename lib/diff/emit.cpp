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
      : plan_(plan), arch_(arch::arch_for(plan.machine)), builder_(plan.machine) {}

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
    return std::move(builder_);
  }

 private:
  elf::BuilderSymbol& add_symbol(const PlanSymbol& s) {
    if (s.name.empty()) return builder_.section_symbol(*sections_[s.section]);
    elf::BuilderSymbol symbol;
    symbol.name = s.name;
    symbol.size = s.size;
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
        return undefined(elf::travel_name(r.klp), elf::kStbWeak);
      case PlanRelocation::Target::symbol:
        break;
    }
    return *symbols_[r.symbol];
  }

  void add_relocations(size_t index) {
    for (const PlanRelocation& r : plan_.sections[index].relocations) {
      builder_.relocations(*sections_[index]).push_back({r.offset, r.type, &target(r), r.addend});
    }
  }

  void add_functions() {
    if (plan_.functions.empty()) return;
    elf::BuilderSection& strings =
        builder_.add_section({".rodata.klp_names", elf::kShtProgbits, elf::kShfAlloc, 1, 0, {}, 0, {}});
    elf::BuilderSection& table = builder_.add_section(
        {std::string(elf::kFuncsSection), elf::kShtProgbits, elf::kShfAlloc | elf::kShfWrite, 8, 0, {}, 0, {}});
    const bool module = plan_.object != "vmlinux";
    const int64_t object_name = module ? add_string(strings, plan_.object) : 0;
    for (const PlanFunction& f : plan_.functions) {
      const uint64_t start = table.data.size();
      table.data.resize(start + elf::kFuncsEntrySize);
      std::memcpy(table.data.data() + start + 24, &f.sympos, sizeof f.sympos);
      auto& relocations = builder_.relocations(table);
      elf::BuilderSymbol& text = builder_.section_symbol(strings);
      if (module) relocations.push_back({start, arch_.absolute_type(), &text, object_name});
      relocations.push_back({start + 8, arch_.absolute_type(), &text, add_string(strings, f.old_name)});
      relocations.push_back({start + 16, arch_.absolute_type(), symbols_[f.symbol], 0});
    }
  }

  static int64_t add_string(elf::BuilderSection& section, const std::string& text) {
    const auto start = static_cast<int64_t>(section.data.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(text.c_str());
    section.data.insert(section.data.end(), bytes, bytes + text.size() + 1);
    return start;
  }

  const PatchObject& plan_;
  const arch::Arch& arch_;
  elf::ObjectBuilder builder_;
  std::vector<elf::BuilderSection*> sections_;
  std::vector<elf::BuilderSymbol*> symbols_;
  std::map<std::string, elf::BuilderSymbol*> undefined_;
};

}  // namespace

elf::ObjectBuilder emit(const PatchObject& plan) {
  return Emitter(plan).run();
}

}  // namespace klp::diff
