#include "elf/types.h"

#include <set>

#include "support/error.h"

namespace klp::elf {
namespace {

constexpr int kMaxDepth = 64;  // of typedefs and pointers; a chain that is longer is a circle

std::string_view keyword(TypeKind kind) {
  switch (kind) {
    case TypeKind::structure:
      return "struct";
    case TypeKind::union_type:
      return "union";
    case TypeKind::enumeration:
      return "enum";
    default:
      return {};
  }
}

}  // namespace

TypeTable::TypeTable() {
  types_.emplace_back();
}

TypeId TypeTable::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? 0 : found->second;
}

const FunctionType* TypeTable::function(std::string_view name) const {
  const auto found = function_by_name_.find(name);
  return found == function_by_name_.end() ? nullptr : &functions_[found->second];
}

TypeId TypeTable::strip(TypeId id) const {
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const Type& type = types_[id];
    if (type.kind != TypeKind::qualifier && type.kind != TypeKind::alias) return id;
    id = type.target;
  }
  return 0;
}

TypeTable::Elements TypeTable::elements(TypeId id) const {
  Elements result{strip(id), 1};
  for (int depth = 0; types_[result.type].kind == TypeKind::array; ++depth) {
    if (depth == kMaxDepth) return {};
    result.count *= types_[result.type].count;
    result.type = strip(types_[result.type].target);
  }
  return result;
}

uint64_t TypeTable::size_of(TypeId id) const {
  const Elements e = elements(id);
  return e.count * types_[e.type].size;
}

/// A type's text around what it declares: pointers to functions and arrays stand on both sides of it.
static std::string declare(const TypeTable& table, TypeId id, std::string inner, int depth) {
  const auto before = [&](std::string_view text) {
    return inner.empty() || inner.front() == '[' ? fmt::format("{}{}", text, inner) : fmt::format("{} {}", text, inner);
  };
  if (id == 0 || depth > 16) return before("void");
  const Type& type = table.at(id);
  switch (type.kind) {
    case TypeKind::qualifier:
      return declare(table, type.target, std::move(inner), depth + 1);
    case TypeKind::pointer: {
      const TypeKind kind = table.at(type.target).kind;
      const bool wrap = kind == TypeKind::function || kind == TypeKind::array;
      return declare(table, type.target, wrap ? "(*" + inner + ")" : "*" + inner, depth + 1);
    }
    case TypeKind::array:
      return declare(table, type.target, type.count == 0 ? inner + "[]" : fmt::format("{}[{}]", inner, type.count),
                     depth + 1);
    case TypeKind::function: {
      std::string parameters;
      for (const TypeId p : type.parameters)
        parameters += (parameters.empty() ? "" : ", ") + declare(table, p, "", depth + 4);
      if (type.variadic) parameters += parameters.empty() ? "..." : ", ...";
      if (parameters.empty()) parameters = "void";
      return declare(table, type.target, fmt::format("{}({})", inner, parameters), depth + 1);
    }
    default:
      break;
  }
  const std::string_view word = keyword(type.kind);
  const std::string_view name = type.name.empty() ? "{...}" : type.name;
  return before(word.empty() ? std::string(name) : fmt::format("{} {}", word, name));
}

std::string TypeTable::text(TypeId id) const {
  return declare(*this, id, "", 0);
}

/// After reading: the names of types, and which of several entries of a function counts.
void TypeTable::name_all() {
  scopes_.resize(types_.size());
  std::set<TypeId> named_enumerations;
  const auto add = [&](std::string name, TypeId id, std::string_view scope) {
    if (!scope.empty()) name += fmt::format(" in {}()", scope);
    if (by_name_.emplace(name, id).second) named_.emplace_back(std::move(name), id);
  };
  for (TypeId id = 1; id < types_.size(); ++id) {
    const Type& type = types_[id];
    const std::string_view word = keyword(type.kind);
    if (!word.empty() && !type.declaration && !type.name.empty()) {
      add(fmt::format("{} {}", word, type.name), id, scopes_[id]);
    } else if (type.kind == TypeKind::alias) {
      const TypeId target = strip(type.target);
      const Type& record = types_[target];
      if (!keyword(record.kind).empty() && !record.declaration && record.name.empty()) {
        add(fmt::format("typedef {}", type.name), target, scopes_[id]);
        if (record.kind == TypeKind::enumeration) named_enumerations.insert(target);
      }
    }
  }
  for (TypeId id = 1; id < types_.size(); ++id) {
    const Type& type = types_[id];
    if (type.kind == TypeKind::enumeration && type.name.empty() && named_enumerations.count(id) == 0)
      unnamed_enumerations_.push_back(id);
  }
  for (size_t i = 0; i < functions_.size(); ++i) {
    if (functions_[i].name.empty()) continue;
    const auto [slot, fresh] = function_by_name_.emplace(functions_[i].name, i);
    if (!fresh && functions_[i].defined && !functions_[slot->second].defined) slot->second = i;
  }
}

}  // namespace klp::elf
