#include "diff/livepatch_module.h"

#include <algorithm>

#include <fmt/format.h>

#include "elf/elf_types.h"
#include "elf/relocation_name.h"

namespace klp::diff {
namespace {

std::string target_text(const PatchObject& object, const PlanRelocation& r) {
  switch (r.target) {
    case PlanRelocation::Target::klp:
      return fmt::format("klp {}:{}.{},{}", r.klp.patched_object, r.klp.symbol_object, r.klp.symbol, r.klp.sympos);
    case PlanRelocation::Target::plain:
      return "plain " + r.name;
    case PlanRelocation::Target::symbol:
      break;
  }
  const PlanSymbol& symbol = object.symbols[r.symbol];
  return "module " + (symbol.name.empty() ? object.sections[symbol.section].name : symbol.name);
}

}  // namespace

bool has_late_references(const PatchObject& object) {
  return std::any_of(object.sections.begin(), object.sections.end(), [](const PlanSection& section) {
    return std::any_of(section.relocations.begin(), section.relocations.end(), [](const PlanRelocation& r) {
      return r.target == PlanRelocation::Target::klp && r.klp.patched_object != "vmlinux" &&
             r.klp.symbol_object != "vmlinux";
    });
  });
}

bool may_refuse_module(const PatchObject& object) {
  return object.object != "vmlinux" && std::any_of(object.callbacks.begin(), object.callbacks.end(), [](const auto& c) {
           return c.kind == elf::CallbackKind::pre_patch;
         });
}

std::set<std::string> shared_names(const PatchObject& user, const PatchObject& owner) {
  std::set<std::string> defined, result;
  for (const PlanSymbol& s : owner.symbols) {
    if (s.bind != elf::kStbLocal) defined.insert(s.name);
  }
  for (const PlanSection& section : user.sections) {
    for (const PlanRelocation& r : section.relocations) {
      if (r.target == PlanRelocation::Target::plain && defined.contains(r.name)) result.insert(r.name);
    }
  }
  return result;
}

std::string dump(const PatchObject& object) {
  std::string text = fmt::format("unit {} object {}\n", object.unit, object.object);
  for (const PlanFunction& f : object.functions) {
    text += fmt::format("replace {},{} with {}\n", f.old_name, f.sympos, object.symbols[f.symbol].name);
  }
  for (const PlanCallback& c : object.callbacks) {
    text += fmt::format("{} callback {}\n", elf::to_string(c.kind), object.symbols[c.symbol].name);
  }
  for (const PlanState& s : object.states) text += fmt::format("state {} version {}\n", s.id, s.version);
  for (const PlanConstant& c : object.constants) {
    text += fmt::format("constant {}+{:#x} size {} from {} size {}\n", object.symbols[c.symbol].name, c.offset, c.size,
                        target_text(object, c.variable), c.variable_size);
  }
  for (const PlanSymbol& s : object.symbols) {
    if (!s.name.empty())
      text += fmt::format("symbol {} in {}{} size {:#x}{}\n", s.name, object.sections[s.section].name,
                          s.value == 0 ? "" : fmt::format("+{:#x}", s.value), s.size, s.bind == 0 ? "" : " global");
  }
  for (const PlanSection& s : object.sections) {
    text += fmt::format("section {} size {:#x} align {}\n", s.name, s.data.size() + s.nobits_size, s.addralign);
    for (const PlanRelocation& r : s.relocations) {
      text += fmt::format("  {}+{:#x} {} {} {:+}\n", s.name, r.offset, elf::relocation_name(object.machine, r.type),
                          target_text(object, r), r.addend);
    }
  }
  for (const PlanLateEntry& e : object.late_entries)
    text += fmt::format("late {}+{:#x} {} key {}: {}\n", e.function, e.offset, e.table, e.key, e.treatment);
  for (const std::string& name : object.namespaces) text += fmt::format("import {}\n", name);
  return text;
}

}  // namespace klp::diff
