#include "diff/type_blame.h"

#include <algorithm>
#include <set>

namespace klp::diff {
namespace {

using elf::LayoutChange;
using elf::LayoutComparison;

/// Code that does not name the members that came, went or have another name is compiled as before.
bool reaches_other_code(const LayoutComparison& type) {
  using Kind = LayoutChange::Kind;
  return type.old_size != type.new_size ||
         std::any_of(type.changes.begin(), type.changes.end(), [](const LayoutChange& c) {
           return c.kind != Kind::added && c.kind != Kind::added_in_hole && c.kind != Kind::removed &&
                  c.kind != Kind::renamed;
         });
}

bool is_file(std::string_view told_to_compiler, const std::string& file) {
  if (!told_to_compiler.ends_with(file)) return false;
  return told_to_compiler.size() == file.size() || told_to_compiler[told_to_compiler.size() - file.size() - 1] == '/';
}

}  // namespace

TypeBlame::TypeBlame(const SourceChanges& source, const UnitTypes& types) : source_(source), types_(types) {
  std::map<std::string_view, const SourceDefinition*> found;  // by the type's name
  for (const LayoutComparison& type : types_.differences) {
    if (!reaches_other_code(type)) continue;
    if (const SourceDefinition* d = changed_at(type)) found.emplace(type.name, d);
  }
  for (const LayoutComparison& type : types_.differences) {
    const auto at = found.find(type.name);
    if (at == found.end()) continue;
    const bool derived =
        !type.because_of.empty() && std::all_of(type.because_of.begin(), type.because_of.end(),
                                                [&](const std::string& inner) { return found.count(inner) != 0; });
    if (!derived) changed_.push_back({&type, at->second, types_.patched_use.holding(type.patched)});
  }
}

/// The changed definition that declares the type, which may be inside another type's.
const SourceDefinition* TypeBlame::changed_at(const LayoutComparison& type) const {
  const elf::Type& before = types_.original.at(type.original);
  for (const SourceDefinition& d : source_) {
    if (d.kind != SourceDefinition::Kind::type || d.changed.empty()) continue;
    const bool inside = d.old_first <= before.line && before.line <= d.old_last && is_file(before.file, d.file);
    if (inside || d.name == type.name) return &d;
  }
  return nullptr;
}

bool TypeBlame::is_harmless(const SourceDefinition& type) const {
  if (std::any_of(changed_.begin(), changed_.end(), [&](const Changed& c) { return c.definition == &type; }))
    return false;
  return types_.original.find(type.name) != 0 && types_.patched.find(type.name) != 0;
}

std::string TypeBlame::name_of(elf::TypeId patched) const {
  for (const auto& [name, id] : types_.patched.named()) {
    if (id == patched) return name;
  }
  return types_.patched.text(patched);
}

std::vector<TypeBlame::Use> TypeBlame::uses(std::string_view function) const {
  std::vector<Use> result;
  if (changed_.empty()) return result;
  const std::set<elf::TypeId> named = types_.patched_use.types_of(function);
  for (const Changed& c : changed_) {
    if (named.count(c.type->patched) != 0) {
      result.push_back({c.definition, c.type->name, {}});
      continue;
    }
    const auto holder = std::find_if(named.begin(), named.end(), [&](elf::TypeId id) { return c.holding[id]; });
    if (holder != named.end()) result.push_back({c.definition, c.type->name, name_of(*holder)});
  }
  return result;
}

const SourceDefinition* TypeBlame::definition_of(std::string_view name) const {
  for (const Changed& c : changed_) {
    if (types_.patched.at(c.type->patched).name == name) return c.definition;
  }
  return nullptr;
}

}  // namespace klp::diff
