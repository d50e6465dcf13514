#include "diff/type_use.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "support/error.h"

namespace klp::diff {
namespace {

bool is_record(elf::TypeKind kind) {
  return kind == elf::TypeKind::structure || kind == elf::TypeKind::union_type;
}

/// Sections that list functions for the kernel's tracers and checkers: no one calls a function through them.
bool is_list_of_code(std::string_view section) {
  constexpr std::array<std::string_view, 11> kLists = {"__patchable_function_entries",
                                                       "__mcount_loc",
                                                       ".orc_",
                                                       ".discard",
                                                       ".return_sites",
                                                       ".retpoline_sites",
                                                       ".ibt_endbr",
                                                       ".call_sites",
                                                       ".cfi_sites",
                                                       ".eh_frame",
                                                       ".debug_"};
  return std::any_of(kLists.begin(), kLists.end(), [&](std::string_view list) { return section.starts_with(list); });
}

/// Whether an instruction has `value` as an immediate operand: an offset or a branch may have the same bytes.
bool has_constant(const Pieces& pieces, const Piece& function, uint64_t value) {
  const auto small = static_cast<uint32_t>(value);
  std::array<std::byte, sizeof(small)> bytes;
  std::memcpy(bytes.data(), &small, sizeof(small));
  const std::span<const std::byte> code = function.data();
  const std::string operand = fmt::format("${}", value);
  for (const elf::Instruction& i : pieces.code(function)) {
    const auto own = code.subspan(i.offset, i.size);
    if (std::search(own.begin(), own.end(), bytes.begin(), bytes.end()) == own.end()) continue;
    const std::string text = pieces.disassembler().text(code, i.offset);
    const size_t at = text.find(operand);
    if (at != text.npos && (at + operand.size() == text.size() || text[at + operand.size()] == ',')) return true;
  }
  return false;
}

}  // namespace

std::string_view source_name(std::string_view symbol) {
  return symbol.substr(0, symbol.find('.', 1));
}

TypeUse::TypeUse(const elf::TypeTable& table, const Pieces& pieces) : table_(table), pieces_(pieces) {}

/// The types that are `type` or have it inside; with `through_pointers`, that lead to it in any way.
std::vector<bool> TypeUse::closed(elf::TypeId type, bool through_pointers) const {
  std::vector<bool> result(table_.size());
  result[type] = true;
  const auto leads = [&](const elf::Type& t) {
    const bool by_target = t.kind != elf::TypeKind::pointer && t.kind != elf::TypeKind::function;
    if ((by_target || through_pointers) && t.target != 0 && result[t.target]) return true;
    const auto member = [&](const elf::Member& m) { return result[m.type]; };
    if (std::any_of(t.members.begin(), t.members.end(), member)) return true;
    return through_pointers &&
           std::any_of(t.parameters.begin(), t.parameters.end(), [&](elf::TypeId p) { return result[p]; });
  };
  for (bool more = true; more;) {
    more = false;
    for (elf::TypeId id = 1; id < table_.size(); ++id) {
      if (result[id] || !leads(table_.at(id))) continue;
      result[id] = true;
      more = true;
    }
  }
  return result;
}

/// Whether a variable of type `id` is, or points to, something that holds the type.
bool TypeUse::is_meant(elf::TypeId id, const std::vector<bool>& holding) const {
  for (int depth = 0; depth < 16; ++depth) {
    if (holding[id]) return true;
    id = table_.elements(id).type;
    if (holding[id]) return true;
    if (table_.at(id).kind != elf::TypeKind::pointer) return false;
    id = table_.at(id).target;
  }
  return false;
}

bool TypeUse::names(size_t function, const std::vector<bool>& holding, std::set<size_t>& seen) const {
  if (!seen.insert(function).second) return false;
  const elf::FunctionType& f = table_.functions()[function];
  if (is_meant(table_.at(f.prototype).target, holding)) return true;
  for (const elf::TypedName& name : f.names) {
    if (is_meant(name.type, holding)) return true;
  }
  return std::any_of(f.inlined.begin(), f.inlined.end(), [&](size_t inner) { return names(inner, holding, seen); });
}

std::vector<std::string_view> TypeUse::functions(elf::TypeId type) const {
  const std::vector<bool> holding = closed(type, false);
  std::vector<std::string_view> result;
  for (size_t i = 0; i < table_.functions().size(); ++i) {
    std::set<size_t> seen;
    if (table_.functions()[i].out_of_line && names(i, holding, seen)) result.push_back(table_.functions()[i].name);
  }
  return result;
}

/// What a variable of type `id` is, or points to.
void TypeUse::collect(elf::TypeId id, std::set<elf::TypeId>& types) const {
  for (int depth = 0; depth < 16; ++depth) {
    id = table_.elements(id).type;
    const elf::TypeKind kind = table_.at(id).kind;
    if (is_record(kind) || kind == elf::TypeKind::enumeration) types.insert(id);
    if (kind != elf::TypeKind::pointer) return;
    id = table_.at(id).target;
  }
}

std::set<elf::TypeId> TypeUse::types_of(std::string_view function) const {
  std::set<elf::TypeId> result;
  std::vector<size_t> open;
  for (size_t i = 0; i < table_.functions().size(); ++i) {
    if (table_.functions()[i].out_of_line && table_.functions()[i].name == function) open.push_back(i);
  }
  std::set<size_t> seen;
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    if (!seen.insert(at).second) continue;
    const elf::FunctionType& f = table_.functions()[at];
    collect(table_.at(f.prototype).target, result);
    for (const elf::TypedName& name : f.names) collect(name.type, result);
    open.insert(open.end(), f.inlined.begin(), f.inlined.end());
  }
  return result;
}

std::vector<std::string_view> TypeUse::allocators(elf::TypeId type, uint64_t size) const {
  std::vector<std::string_view> result;
  for (const std::string_view name : functions(type)) {
    for (const Piece* piece : pieces_of(name)) {
      const auto relocations = pieces_.relocations(*piece);
      const bool calls = std::any_of(relocations.begin(), relocations.end(), [](const elf::Relocation& r) {
        return r.symbol->name.find("alloc") != std::string_view::npos;
      });
      if (!calls || !has_constant(pieces_, *piece, size)) continue;
      result.push_back(name);
      break;
    }
  }
  return result;
}

std::vector<std::string_view> TypeUse::variables(elf::TypeId type) const {
  const std::vector<bool> holding = closed(type, false);
  std::vector<std::string_view> result;
  const auto add = [&](const elf::TypedName& name) {
    if (name.kind == elf::TypedName::Kind::fixed && holding[table_.elements(name.type).type])
      result.push_back(name.name);
  };
  for (const elf::TypedName& variable : table_.variables()) add(variable);
  for (const elf::FunctionType& function : table_.functions()) {
    for (const elf::TypedName& name : function.names) add(name);
  }
  return result;
}

std::vector<std::string> TypeUse::holders(elf::TypeId type) const {
  const std::vector<bool> holding = closed(type, false);
  std::vector<std::string> result;
  for (const auto& [name, id] : table_.named()) {
    if (id != type && holding[id]) result.push_back(name);
  }
  return result;
}

std::vector<const Piece*> TypeUse::pieces_of(std::string_view function) const {
  std::vector<const Piece*> result;
  for (const Piece& piece : pieces_.all()) {
    if (piece.kind == PieceKind::function && source_name(piece.name()) == function && pieces_.leader(&piece) == &piece)
      result.push_back(&piece);
  }
  return result;
}

/// Of all that is declared, only parameters lead to the type, and local variables are of it.
bool TypeUse::has_only_locals(elf::TypeId type, const std::vector<bool>& leading) const {
  for (const elf::TypedName& variable : table_.variables()) {
    if (leading[variable.type]) return false;
  }
  bool on_a_stack = false;
  for (const elf::FunctionType& function : table_.functions()) {
    if (leading[table_.at(function.prototype).target]) return false;
    for (const elf::TypedName& name : function.names) {
      if (!leading[name.type] || name.kind == elf::TypedName::Kind::parameter) continue;
      if (name.kind == elf::TypedName::Kind::fixed || table_.elements(name.type).type != type) return false;
      on_a_stack = true;
    }
  }
  return on_a_stack;
}

bool TypeUse::takes_address_of(const std::set<const Piece*>& functions) const {
  for (const Piece& piece : pieces_.all()) {
    const elf::Section& section = *piece.section;
    if (!section.is_alloc() || is_list_of_code(section.name)) continue;
    for (const elf::Relocation& r : pieces_.relocations(piece)) {
      if (!r.symbol->is_defined() || !r.symbol->section->is_exec()) continue;
      const Reference reference = pieces_.resolve(r);
      // Into the middle lead jump tables, and entries of the kernel's tables.
      if (reference.kind != Reference::Kind::piece || reference.branch || reference.offset != 0) continue;
      if (functions.count(reference.piece) != 0) return true;
    }
  }
  return false;
}

bool TypeUse::is_on_stacks_only(elf::TypeId type) const {
  if (!is_record(table_.at(type).kind) || !table_.at(type).file.ends_with(".c")) return false;
  const std::vector<bool> leading = closed(type, true);
  std::unordered_set<elf::TypeId> prototypes;
  for (const elf::FunctionType& function : table_.functions()) prototypes.insert(function.prototype);
  for (elf::TypeId id = 1; id < table_.size(); ++id) {
    const elf::TypeKind kind = table_.at(id).kind;
    if (!leading[id] || id == type) continue;
    if (is_record(kind) || (kind == elf::TypeKind::function && prototypes.count(id) == 0)) return false;
  }
  if (!has_only_locals(type, leading)) return false;
  std::set<const Piece*> users;
  for (const std::string_view name : functions(type)) {
    for (const Piece* piece : pieces_of(name)) users.insert(piece);
  }
  return !takes_address_of(users);
}

}  // namespace klp::diff
