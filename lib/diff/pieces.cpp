#include "diff/pieces.h"

#include <algorithm>
#include <cstring>

#include "support/bytes.h"

namespace klp::diff {
namespace {

/// Whether a symbol starts a piece of its own: functions and objects do, and in data every label with a size.
bool starts_piece(const elf::Symbol& s) {
  if (s.type == elf::kSttFunc || s.type == elf::kSttObject) return true;
  if (s.type != elf::kSttNotype || s.name.empty() || s.name.starts_with(".L")) return false;
  return !s.section->is_exec() || !s.is_local();
}

/// Among the symbols of one range: a sized function or object before a label, then the one that its section is named
/// after, global before weak before local, then by name: the order of the symbol table decides nothing.
bool better_primary(const elf::Symbol* a, const elf::Symbol* b) {
  const auto rank = [](const elf::Symbol* s) {
    const std::string_view section = s->section->name;
    const bool own = section.ends_with(s->name) && section.size() > s->name.size() &&
                     section[section.size() - s->name.size() - 1] == '.';
    const int kind = s->size == 0 ? 2 : s->type == elf::kSttNotype ? 1 : 0;
    const int bind = s->is_local() ? 2 : s->bind == elf::kStbWeak ? 1 : 0;
    return kind * 8 + (own ? 0 : 4) + bind;
  };
  return rank(a) != rank(b) ? rank(a) < rank(b) : a->name < b->name;
}

/// Name of the function that a pointer leads into, as an entry of a jump table does; its .cold part counts as it. Empty
/// when it is none: what points to a function's start is an address of it.
std::string_view jump_target(const elf::Relocation& r) {
  if (!r.symbol->is_defined() || !r.symbol->section->is_exec()) return {};
  const uint64_t target = r.symbol->value + static_cast<uint64_t>(r.addend);
  const auto& all = r.symbol->section->symbols;
  auto after = std::upper_bound(all.begin(), all.end(), target,
                                [](uint64_t value, const elf::Symbol* s) { return value < s->value; });
  while (after != all.begin()) {
    const elf::Symbol* s = *--after;
    if (!s->is_function()) continue;
    std::string_view name = s->name;
    const bool cold = is_cold_name(s->name, &name);
    return target > s->value || cold ? name : std::string_view();
  }
  return {};
}

bool is_terminator(const elf::Section& section, uint64_t at) {
  for (uint64_t i = 0; i < std::max<uint64_t>(section.entsize, 1); ++i) {
    if (section.data[at + i] != std::byte{0}) return false;
  }
  return true;
}

// References to one long string, each to another place of it, must not cost much more than the string.
constexpr uint64_t kMaxString = 64 * 1024;

std::string_view string_at(const elf::Section& section, uint64_t offset) {
  const uint64_t width = std::max<uint64_t>(section.entsize, 1);
  check(width <= 8, "{}: characters of {} bytes", section.name, width);
  check(offset < section.data.size(), "{}: string at {:#x} behind the end", section.name, offset);
  uint64_t end = offset;
  if (width == 1) {
    const uint64_t most = std::min<uint64_t>(section.data.size() - offset, kMaxString + 1);
    const void* found = std::memchr(section.data.data() + offset, 0, most);
    end = found == nullptr ? offset + most
                           : static_cast<uint64_t>(static_cast<const std::byte*>(found) - section.data.data());
  }
  while (end + width <= section.data.size() && end - offset <= kMaxString && !is_terminator(section, end)) end += width;
  check(end + width <= section.data.size(), "{}: string at {:#x} has no end", section.name, offset);
  check(end - offset <= kMaxString, "{}: string of {} bytes at {:#x}", section.name, end - offset, offset);
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

const elf::Relocation* slot_behind(const arch::Arch& arch, const elf::Relocation& relocation) {
  const elf::Symbol& symbol = *relocation.symbol;
  if (!symbol.is_defined() || !arch.loads_slot(relocation.type)) return nullptr;
  const elf::Section& section = *symbol.section;
  const uint64_t size = arch.slot_size(section);
  const uint64_t at = symbol.value + static_cast<uint64_t>(arch.target_offset(relocation, 0));
  if (size == 0 || at % size != 0) return nullptr;
  const auto& all = section.relocations;
  const auto found = std::lower_bound(all.begin(), all.end(), at,
                                      [](const elf::Relocation& r, uint64_t value) { return r.offset < value; });
  return found != all.end() && found->offset == at && arch.field_kind(*found).width == size ? &*found : nullptr;
}

Pieces::Pieces(const elf::ElfObject& object, const elf::Disassembler& disassembler)
    : object_(&object),
      arch_(&arch::arch_for(object.machine())),
      disassembler_(&disassembler),
      branch_sites_(object, *arch_) {
  by_section_.resize(object.sections().size());
  for (const elf::Section& section : object.sections()) {
    if (section.is_alloc() && section.size > 0 && !section.is_strings()) cut(section);
  }
  // A zero-sized variable (struct lock_class_key without lockdep) has a symbol in an empty section.
  for (const elf::Section& section : object.sections()) {
    if (!section.is_alloc() || section.size > 0) continue;
    if (arch_->is_replacement_code(section.name)) add({PieceKind::anonymous, &section, 0, 0, nullptr, {}});
    for (const elf::Symbol* s : section.symbols) {
      if (starts_piece(*s)) add({PieceKind::object, &section, 0, 0, s, {}});
    }
  }
  for (const Piece& piece : pieces_) {
    by_section_[piece.section->index].push_back(&piece);
    if (piece.symbol == nullptr) continue;
    by_symbol_[piece.symbol] = &piece;
    by_name_[piece.symbol->name].push_back(&piece);
    for (const elf::Symbol* alias : piece.aliases) {
      by_symbol_[alias] = &piece;
      if (alias->name != piece.symbol->name) by_name_[alias->name].push_back(&piece);
    }
  }
  for (const Piece& piece : pieces_) {
    if (piece.symbol != nullptr && piece.kind == PieceKind::function && is_cold_name(piece.symbol->name))
      leaders_[&piece] = find_leader(piece);
  }
  for (const elf::Section& section : object.sections()) {
    if (section.name == "__patchable_function_entries") read_padding(section);
  }
}

/// An entry inside a function (ppc64le) is no padding.
void Pieces::read_padding(const elf::Section& entries) {
  for (const elf::Relocation& r : entries.relocations) {
    if (!r.symbol->is_defined() || !r.symbol->section->is_exec()) continue;
    const auto& list = by_section_[r.symbol->section->index];
    const uint64_t start = r.symbol->value + static_cast<uint64_t>(r.addend);
    auto piece = std::lower_bound(list.begin(), list.end(), start,
                                  [](const Piece* p, uint64_t value) { return p->end() <= value; });
    if (piece == list.end() || (*piece)->kind == PieceKind::function || ++piece == list.end()) continue;
    if ((*piece)->kind == PieceKind::function) padding_[*piece] = (*piece)->offset - start;
  }
}

uint64_t Pieces::padding(const Piece& function) const {
  const auto found = padding_.find(&function);
  return found == padding_.end() ? function.prefix : found->second;
}

void Pieces::add(Piece piece) {
  pieces_.push_back(std::move(piece));
}

/// What no symbol covers is one piece, but for jump tables: functions that share a section (.sched.text) have theirs in
/// one .rodata. A run of pointers into one function is a piece of its own, so that no function drags in another's
/// table.
void Pieces::add_unnamed(const elf::Section& section, uint64_t begin, uint64_t end) {
  constexpr uint64_t kPointer = 8;
  uint64_t start = begin;
  const auto close = [&](uint64_t at) {
    if (at > start) add({PieceKind::anonymous, &section, start, at - start, nullptr, {}});
    start = at;
  };
  std::string_view table_of;
  uint64_t next = begin;
  const bool may_hold_tables = !section.is_exec() && !section.is_writable();
  for (const elf::Relocation& r : section.relocations) {
    if (!may_hold_tables || r.offset < begin || r.offset + kPointer > end) continue;
    const bool pointer = !arch_->field_kind(r).pc_relative && arch_->field_kind(r).width == kPointer;
    const std::string_view function = pointer ? jump_target(r) : std::string_view();
    if (function != table_of || r.offset != next) {
      if (!table_of.empty()) close(next);
      if (!function.empty()) close(r.offset);
    }
    table_of = function;
    next = r.offset + kPointer;
  }
  if (!table_of.empty()) close(next);
  close(end);
}

void Pieces::cut(const elf::Section& section) {
  uint64_t entry = arch_->slot_size(section);
  if (section.is_mergeable_constants() && section.has_data() && section.entsize > 1) entry = section.entsize;
  if (entry != 0) {
    for (uint64_t at = 0; entry <= section.size - at; at += entry)
      add({PieceKind::constant, &section, at, entry, nullptr, {}});
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
    const uint64_t prefix = std::min(section.is_exec() ? arch_->prefix_size(*same[0]) : 0, at - covered);
    if (at - prefix > covered) add_unnamed(section, covered, at - prefix);
    uint64_t end = i < starts.size() ? starts[i]->value : section.size;
    if (same[0]->size > 0) end = at + std::min(section.size - at, same[0]->size);
    Piece piece{section.is_exec() ? PieceKind::function : PieceKind::object,
                &section,
                at,
                end - at,
                same[0],
                {same.begin() + 1, same.end()},
                prefix};
    add(std::move(piece));
    covered = end;
  }
  if (covered < section.size) add_unnamed(section, covered, section.size);
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

std::vector<const Piece*> Pieces::named(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::vector<const Piece*>() : found->second;
}

std::span<const elf::Relocation> Pieces::relocations(const elf::Section& section, uint64_t begin, uint64_t end) {
  const auto& all = section.relocations;
  const auto by_offset = [](const elf::Relocation& r, uint64_t value) { return r.offset < value; };
  const auto first = std::lower_bound(all.begin(), all.end(), begin, by_offset);
  const auto last = std::lower_bound(first, all.end(), end, by_offset);
  return {first, last};
}

std::span<const elf::Relocation> Pieces::relocations(const Piece& piece) const {
  return relocations(*piece.section, piece.offset, piece.end());
}

std::span<const elf::Relocation> Pieces::prefix_relocations(const Piece& piece) const {
  return relocations(*piece.section, piece.start(), piece.offset);
}

const std::vector<elf::Instruction>& Pieces::code(const Piece& piece) const {
  auto [slot, made] = code_.try_emplace(&piece);
  if (made) {
    slot->second = disassembler_->decode(piece.data());
    branch_sites_.turn_off(*piece.section, piece.offset, piece.data(), slot->second);
  }
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

void Pieces::bias_code_field(Reference& reference, const elf::Relocation& relocation) const {
  uint64_t piece_offset = 0;
  const elf::Instruction* instruction = instruction_of(relocation, piece_offset);
  check(instruction != nullptr, "{}+{:#x}: relocation outside of any code", relocation.section->name,
        relocation.offset);
  const uint64_t to_end = piece_offset + instruction->offset + instruction->size - relocation.offset;
  check(to_end >= arch_->field_kind(relocation).width && to_end <= instruction->size,
        "{}+{:#x}: the relocated field is in no instruction (unknown instruction?)", relocation.section->name,
        relocation.offset);
  reference.bias = arch_->bias(relocation, to_end);
  reference.branch = instruction->flow != elf::Flow::none;
}

Reference Pieces::resolve(const elf::Relocation& relocation) const {
  Reference result;
  result.relocation = &relocation;
  if (arch_->field_kind(relocation).width == 0) return result;
  if (is_code(*relocation.section))
    bias_code_field(result, relocation);
  else
    result.bias = arch_->bias(relocation, 0);
  if (const elf::Relocation* slot = slot_behind(*arch_, relocation)) {
    const int64_t bias = result.bias;
    result = resolve(*slot);
    result.relocation = &relocation;
    result.bias = bias;
    result.slot = slot;
    return result;
  }
  result.offset = arch_->target_offset(relocation, result.bias);
  const elf::Symbol& symbol = *relocation.symbol;
  if (!symbol.is_defined()) {
    result.kind = Reference::Kind::external;
    result.symbol = &symbol;
    return result;
  }
  const elf::Section& section = *symbol.section;
  const int64_t target = static_cast<int64_t>(symbol.value) + result.offset;
  if (section.is_strings()) {
    return with_context(fmt::format("{}+{:#x}", relocation.section->name, relocation.offset),
                        [&] { return string_reference(result, symbol, target); });
  }
  // A named symbol is meant even when the offset leaves it (array[-1]); section + offset is looked up.
  result.piece = symbol.is_section() ? at(section, target < 0 ? 0 : static_cast<uint64_t>(target)) : of(symbol);
  check(result.piece != nullptr, "{}+{:#x}: refers to the empty section {}", relocation.section->name,
        relocation.offset, section.name);
  result.kind = Reference::Kind::piece;
  result.offset = target - static_cast<int64_t>(result.piece->offset);
  return result;
}

/// A named string is meant whatever the offset, e.g. one past its end. Section + offset is the string there; behind the
/// last one of the section it is the end of that.
Reference Pieces::string_reference(Reference reference, const elf::Symbol& symbol, int64_t target) const {
  const elf::Section& section = *symbol.section;
  check(section.has_data(), "{}: strings without content", section.name);
  reference.kind = Reference::Kind::string;
  reference.string_section = &section;
  if (!symbol.is_section()) {
    reference.string_start = symbol.value;
  } else if (target > 0 && static_cast<uint64_t>(target) == section.size) {
    const uint64_t width = std::max<uint64_t>(section.entsize, 1);
    uint64_t start = section.size - std::min(width, section.size);
    while (start >= width && section.size - start <= kMaxString && !is_terminator(section, start - width))
      start -= width;
    reference.string_start = start;
  } else {
    reference.string_start = static_cast<uint64_t>(target);
  }
  reference.offset = target - static_cast<int64_t>(reference.string_start);
  reference.string = string_at(section, reference.string_start);
  return reference;
}

const Piece* Pieces::leader(const Piece* piece) const {
  const auto found = leaders_.find(piece);
  return found == leaders_.end() ? piece : found->second;
}

bool Pieces::jumps_to(const Piece& from, const Piece& to) const {
  const auto all = relocations(from);
  return std::any_of(all.begin(), all.end(), [&](const elf::Relocation& r) { return resolve(r).piece == &to; });
}

/// The function before ".cold". Linked objects may have several of the name: it is of the same source file, and jumps
/// to the part.
const Piece* Pieces::find_leader(const Piece& part) const {
  std::string_view name;
  is_cold_name(part.symbol->name, &name);
  std::vector<const Piece*> candidates;
  for (const Piece* piece : named(name)) {
    const bool same_file = !piece->symbol->is_local() || piece->symbol->file == part.symbol->file;
    if (piece->kind == PieceKind::function && same_file) candidates.push_back(piece);
  }
  if (candidates.size() > 1) std::erase_if(candidates, [&](const Piece* piece) { return !jumps_to(*piece, part); });
  return candidates.empty() ? &part : candidates.front();
}

}  // namespace klp::diff
