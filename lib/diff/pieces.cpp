#include "diff/pieces.h"

#include <algorithm>

#include "support/bytes.h"

namespace klp::diff {
namespace {

/// Whether a symbol starts a piece of its own: functions and objects do, and in data every label with a size.
bool starts_piece(const elf::Symbol& s) {
  if (s.type == elf::kSttFunc || s.type == elf::kSttObject) return true;
  if (s.type != elf::kSttNotype || s.name.empty() || s.name.starts_with(".L")) return false;
  return !s.section->is_exec() || !s.is_local();
}

/// Among the symbols of one range: a sized function or object before a label, then the order of the symbol table.
bool better_primary(const elf::Symbol* a, const elf::Symbol* b) {
  const auto rank = [](const elf::Symbol* s) { return s->size == 0 ? 2 : s->type == elf::kSttNotype ? 1 : 0; };
  return rank(a) != rank(b) ? rank(a) < rank(b) : a->index < b->index;
}

std::string_view string_at(const elf::Section& section, uint64_t offset) {
  const uint64_t width = std::max<uint64_t>(section.entsize, 1);
  check(offset < section.data.size(), "{}: string at {:#x} behind the end", section.name, offset);
  uint64_t end = offset;
  const auto is_terminator = [&](uint64_t at) {
    for (uint64_t i = 0; i < width; ++i) {
      if (section.data[at + i] != std::byte{0}) return false;
    }
    return true;
  };
  while (end + width <= section.data.size() && !is_terminator(end)) end += width;
  check(end + width <= section.data.size(), "{}: string at {:#x} has no end", section.name, offset);
  return {reinterpret_cast<const char*>(section.data.data()) + offset, end - offset};
}

}  // namespace

bool is_cold_name(std::string_view name, std::string_view* parent) {
  const size_t cold = name.rfind(".cold");
  if (cold == std::string_view::npos || cold == 0) return false;
  const std::string_view rest = name.substr(cold + 5);
  const bool numbered =
      rest.size() > 1 && rest[0] == '.' && rest.find_first_not_of("0123456789", 1) == std::string_view::npos;
  if (!rest.empty() && !numbered) return false;
  if (parent != nullptr) *parent = name.substr(0, cold);
  return true;
}

std::vector<const elf::Instruction*> without_padding(const std::vector<elf::Instruction>& code) {
  std::vector<const elf::Instruction*> result;
  for (const elf::Instruction& i : code) {
    if (!i.nop) result.push_back(&i);
  }
  return result;
}

int64_t instruction_number(const std::vector<elf::Instruction>& code, uint64_t size, int64_t offset) {
  if (offset < 0 || static_cast<uint64_t>(offset) > size) return -1;
  int64_t number = 0;
  for (const elf::Instruction& i : code) {
    if (i.offset >= static_cast<uint64_t>(offset)) break;
    if (!i.nop) ++number;
  }
  return number;
}

Pieces::Pieces(const elf::ElfObject& object, const elf::Disassembler& disassembler)
    : object_(&object), arch_(&arch::arch_for(object.machine())), disassembler_(&disassembler) {
  by_section_.resize(object.sections().size());
  for (const elf::Section& section : object.sections()) {
    if (section.is_alloc() && section.size > 0 && !section.is_strings()) cut(section);
  }
  // A zero-sized variable (struct lock_class_key without lockdep) has a symbol in an empty section.
  for (const elf::Section& section : object.sections()) {
    if (!section.is_alloc() || section.size > 0) continue;
    for (const elf::Symbol* s : section.symbols) {
      if (starts_piece(*s)) add({PieceKind::object, &section, 0, 0, s, {}});
    }
  }
  for (const Piece& piece : pieces_) {
    by_section_[piece.section->index].push_back(&piece);
    if (piece.symbol == nullptr) continue;
    by_symbol_[piece.symbol] = &piece;
    by_name_.emplace(piece.symbol->name, &piece);
    for (const elf::Symbol* alias : piece.aliases) {
      by_symbol_[alias] = &piece;
      by_name_.emplace(alias->name, &piece);
    }
  }
}

void Pieces::add(Piece piece) {
  pieces_.push_back(std::move(piece));
}

void Pieces::cut(const elf::Section& section) {
  if (section.is_mergeable_constants() && section.entsize > 0) {
    for (uint64_t at = 0; at + section.entsize <= section.size; at += section.entsize) {
      add({PieceKind::constant, &section, at, section.entsize, nullptr, {}});
    }
    return;
  }
  std::vector<const elf::Symbol*> starts;
  for (const elf::Symbol* s : section.symbols) {
    if (starts_piece(*s) && s->value < section.size) starts.push_back(s);
  }
  uint64_t covered = 0;
  for (size_t i = 0; i < starts.size();) {
    const uint64_t at = starts[i]->value;
    std::vector<const elf::Symbol*> same;
    for (; i < starts.size() && starts[i]->value == at; ++i) same.push_back(starts[i]);
    if (at < covered) continue;  // a symbol inside another: part of that piece
    std::stable_sort(same.begin(), same.end(), better_primary);
    if (at > covered) add({PieceKind::anonymous, &section, covered, at - covered, nullptr, {}});
    uint64_t end = i < starts.size() ? starts[i]->value : section.size;
    if (same[0]->size > 0) end = at + std::min(section.size - at, same[0]->size);
    Piece piece{section.is_exec() ? PieceKind::function : PieceKind::object,
                &section,
                at,
                end - at,
                same[0],
                {same.begin() + 1, same.end()}};
    add(std::move(piece));
    covered = end;
  }
  if (covered < section.size) add({PieceKind::anonymous, &section, covered, section.size - covered, nullptr, {}});
}

const Piece* Pieces::at(const elf::Section& section, uint64_t offset) const {
  const auto& list = by_section_[section.index];
  auto after = std::upper_bound(list.begin(), list.end(), offset,
                                [](uint64_t value, const Piece* p) { return value < p->offset; });
  if (after != list.begin()) return *(after - 1);
  return list.empty() ? nullptr : list.front();
}

const Piece* Pieces::of(const elf::Symbol& symbol) const {
  const auto found = by_symbol_.find(&symbol);
  if (found != by_symbol_.end()) return found->second;
  return symbol.is_defined() ? at(*symbol.section, symbol.value) : nullptr;
}

const Piece* Pieces::named(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::span<const elf::Relocation> Pieces::relocations(const Piece& piece) const {
  const auto& all = piece.section->relocations;
  const auto by_offset = [](const elf::Relocation& r, uint64_t value) { return r.offset < value; };
  const auto first = std::lower_bound(all.begin(), all.end(), piece.offset, by_offset);
  const auto last = std::lower_bound(first, all.end(), piece.end(), by_offset);
  return {first, last};
}

const std::vector<elf::Instruction>& Pieces::code(const Piece& piece) const {
  auto [slot, made] = code_.try_emplace(&piece);
  if (made) slot->second = disassembler_->decode(piece.data());
  return slot->second;
}

std::optional<Reference> Pieces::outward_branch(const Piece& piece, const elf::Instruction& instruction) const {
  if (instruction.flow == elf::Flow::none) return std::nullopt;
  if (instruction.target >= 0 && static_cast<uint64_t>(instruction.target) < piece.size) return std::nullopt;
  const uint64_t start = piece.offset + instruction.offset;
  const auto& all = piece.section->relocations;
  const auto next = std::lower_bound(all.begin(), all.end(), start,
                                     [](const elf::Relocation& r, uint64_t value) { return r.offset < value; });
  if (next != all.end() && next->offset < start + instruction.size && arch_->field_kind(*next).width > 0)
    return std::nullopt;
  const int64_t target = static_cast<int64_t>(piece.offset) + instruction.target;
  if (target < 0 || static_cast<uint64_t>(target) >= piece.section->size)
    return std::nullopt;  // behind a noreturn call: never taken
  Reference result;
  result.kind = Reference::Kind::piece;
  result.piece = at(*piece.section, static_cast<uint64_t>(target));
  result.offset = target - static_cast<int64_t>(result.piece->offset);
  result.branch = true;
  return result;
}

const elf::Instruction* Pieces::instruction_of(const elf::Relocation& relocation, uint64_t& piece_offset) const {
  const Piece* piece = at(*relocation.section, relocation.offset);
  if (piece == nullptr || relocation.offset < piece->offset || relocation.offset >= piece->end()) return nullptr;
  const uint64_t inside = relocation.offset - piece->offset;
  const auto& instructions = code(*piece);
  auto after = std::upper_bound(instructions.begin(), instructions.end(), inside,
                                [](uint64_t value, const elf::Instruction& i) { return value < i.offset; });
  if (after == instructions.begin()) return nullptr;
  piece_offset = piece->offset;
  return &*(after - 1);
}

Reference Pieces::resolve(const elf::Relocation& relocation) const {
  Reference result;
  result.relocation = &relocation;
  const arch::FieldKind field = arch_->field_kind(relocation);
  if (field.width == 0) return result;
  if (relocation.section->is_exec()) {
    uint64_t piece_offset = 0;
    const elf::Instruction* instruction = instruction_of(relocation, piece_offset);
    check(instruction != nullptr, "{}+{:#x}: relocation outside of any code", relocation.section->name,
          relocation.offset);
    result.field_to_pc = piece_offset + instruction->offset + instruction->size - relocation.offset;
    check(result.field_to_pc >= field.width && result.field_to_pc <= instruction->size,
          "{}+{:#x}: the relocated field is in no instruction (unknown instruction?)", relocation.section->name,
          relocation.offset);
    result.branch = instruction->flow != elf::Flow::none;
  }
  result.offset = arch_->target_offset(relocation, result.field_to_pc);
  const elf::Symbol& symbol = *relocation.symbol;
  if (!symbol.is_defined()) {
    result.kind = Reference::Kind::external;
    result.symbol = &symbol;
    return result;
  }
  const elf::Section& section = *symbol.section;
  const int64_t target = static_cast<int64_t>(symbol.value) + result.offset;
  if (section.is_strings()) {
    result.kind = Reference::Kind::string;
    result.offset = target;
    result.string = with_context(fmt::format("{}+{:#x}", relocation.section->name, relocation.offset),
                                 [&] { return string_at(section, static_cast<uint64_t>(target)); });
    return result;
  }
  // A named symbol is meant even when the offset leaves it (array[-1]); section + offset is looked up.
  result.piece = symbol.is_section() ? at(section, target < 0 ? 0 : static_cast<uint64_t>(target)) : of(symbol);
  check(result.piece != nullptr, "{}+{:#x}: refers to the empty section {}", relocation.section->name,
        relocation.offset, section.name);
  result.kind = Reference::Kind::piece;
  result.offset = target - static_cast<int64_t>(result.piece->offset);
  return result;
}

const Piece* Pieces::leader(const Piece* piece) const {
  std::string_view parent;
  if (piece->symbol == nullptr || piece->kind != PieceKind::function || !is_cold_name(piece->symbol->name, &parent))
    return piece;
  const Piece* found = named(parent);
  return found != nullptr && found->kind == PieceKind::function ? found : piece;
}

}  // namespace klp::diff
