#include "diff/compare.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "diff/closure.h"
#include "diff/stable_name.h"
#include "support/bytes.h"
#include "support/log.h"

namespace klp::diff {
namespace {

constexpr int kMaxDepth = 8;

/// The relocations of a piece that may touch [start, start + size) of it: fields are 8 bytes at most.
std::span<const elf::Relocation> relocations_near(const Pieces& pieces, const Piece& piece, uint64_t start,
                                                  uint64_t size) {
  const auto all = pieces.relocations(piece);
  const auto by_offset = [](const elf::Relocation& r, uint64_t value) { return r.offset < value; };
  const uint64_t begin = piece.offset + start - std::min<uint64_t>(start, 7);
  const auto first = std::lower_bound(all.begin(), all.end(), begin, by_offset);
  return {first, std::lower_bound(first, all.end(), piece.offset + start + size, by_offset)};
}

/// Field bytes are compared as references, not as bytes.
std::vector<std::byte> without_fields(const Pieces& pieces, const Piece& piece, uint64_t start, uint64_t size) {
  if (!piece.section->has_data()) return std::vector<std::byte>(size);
  const auto data = piece.section->data.subspan(piece.offset + start, size);
  std::vector<std::byte> result(data.begin(), data.end());
  for (const elf::Relocation& r : relocations_near(pieces, piece, start, size)) {
    const uint64_t at = r.offset - piece.offset;
    const arch::FieldKind kind = pieces.arch().field_kind(r);
    for (uint64_t i = at; i < at + kind.width; ++i) {
      const auto mask = static_cast<std::byte>(kind.mask >> (8 * (i - at)));
      if (i >= start && i < start + size) result[i - start] &= ~mask;
    }
  }
  return result;
}

/// The line number inside of a descriptor that only tells where a message stands: struct _ddebug (lineno:18 at 32,
/// behind four pointers; include/linux/dynamic_debug.h, 5.10-6.12) and struct pi_entry (line at 24;
/// include/linux/printk.h).
void forget_line(const Piece& piece, std::vector<std::byte>& bytes) {
  const std::string_view section = piece.section->name;
  if ((section == "__dyndbg" || section == "__verbose") && bytes.size() >= 35) {
    bytes[32] = bytes[33] = std::byte{0};
    bytes[34] &= std::byte{0xfc};
  } else if (section == ".printk_index" && bytes.size() >= 28) {
    std::fill_n(bytes.begin() + 24, 4, std::byte{0});
  }
}

std::vector<const elf::Relocation*> relocations_in(const Pieces& pieces, const Piece& piece, uint64_t start,
                                                   uint64_t size) {
  std::vector<const elf::Relocation*> result;
  for (const elf::Relocation& r : relocations_near(pieces, piece, start, size)) {
    const uint64_t at = r.offset - piece.offset;
    if (at >= start && at < start + size && pieces.arch().field_kind(r).width > 0) result.push_back(&r);
  }
  return result;
}

/// Sections whose variables are reached, or live, in another way than others.
std::string_view memory_of(const elf::Section& section) {
  for (const std::string_view kind : {".data..percpu", ".data..ro_after_init", ".init", ".exit"}) {
    if (section.name.starts_with(kind)) return kind;
  }
  return "";
}

bool is_content_only(const Pieces& pieces, const Piece& piece) {
  if (piece.kind == PieceKind::constant || is_private_static(piece) || is_constant_local(piece)) return true;
  if (is_static_local(piece)) return !piece.section->is_writable();
  return piece.kind == PieceKind::anonymous && pieces.is_constant(*piece.section);
}

/// What a reference means, in a few words for the chain of reasons.
std::string describe(const Reference& r) {
  constexpr size_t kShown = 32;
  const auto with_offset = [&](std::string_view name) {
    return r.offset == 0 ? std::string(name) : fmt::format("{}{:+#x}", name, r.offset);
  };
  switch (r.kind) {
    case Reference::Kind::none:
      return "nothing";
    case Reference::Kind::string: {
      std::string text;
      for (const char c : r.string.substr(0, kShown)) text += c >= ' ' && c < 0x7f ? c : '.';
      return fmt::format("\"{}{}\"", text, r.string.size() > kShown ? "..." : "");
    }
    case Reference::Kind::external:
      return with_offset(r.symbol->name);
    case Reference::Kind::piece:
      break;
  }
  return r.piece->symbol == nullptr ? fmt::format("content of {}", r.piece->section->name)
                                    : with_offset(r.piece->name());
}

std::string reference_change(uint64_t offset, const Reference& a, const Reference& b) {
  const std::string before = describe(a);
  const std::string after = describe(b);
  if (before == after) return fmt::format("what {} at +{:#x} means differs", after, offset);
  return fmt::format("{} instead of {} at +{:#x}", after, before, offset);
}

}  // namespace

int64_t instruction_number(const Pieces& pieces, const Piece& function, int64_t offset) {
  return instruction_number(pieces.code(function), function.size, offset);
}

Comparison::Comparison(const Pieces& original, const Pieces& patched, const Correlation& correlation,
                       const Tables& original_tables, const Tables& patched_tables)
    : original_(original),
      patched_(patched),
      correlation_(correlation),
      original_tables_(original_tables),
      patched_tables_(patched_tables),
      lines_(original, patched) {}

bool Comparison::same_reference(const Reference& a, const Reference& b, int depth) const {
  if (a.kind != b.kind || a.branch != b.branch) return false;
  switch (a.kind) {
    case Reference::Kind::none:
      return true;
    case Reference::Kind::string:
      return a.string == b.string && a.offset == b.offset;
    case Reference::Kind::external:
      return a.symbol->name == b.symbol->name && a.offset == b.offset && a.symbol->place == b.symbol->place;
    case Reference::Kind::piece:
      break;
  }
  if (correlation_.patched_of(a.piece) == b.piece) {
    if (a.offset == b.offset && a.offset == 0) return true;
    if (a.piece->kind != PieceKind::function) return a.offset == b.offset;
    return instruction_number(original_, *a.piece, a.offset) == instruction_number(patched_, *b.piece, b.offset);
  }
  if (correlation_.patched_of(a.piece) != nullptr || correlation_.original_of(b.piece) != nullptr) return false;
  if (original_.arch().runs_before_patching_only(a.piece->section->name) &&
      a.piece->section->name == b.piece->section->name)
    return true;
  if (is_content_only(original_, *a.piece) && is_content_only(patched_, *b.piece))
    return a.offset == b.offset && same_content(*a.piece, *b.piece, depth + 1);
  // Writable data that could not be paired is the same only where nothing moved.
  if (is_static_local(*a.piece) && is_static_local(*b.piece)) {
    return a.piece->symbol->name == b.piece->symbol->name && a.offset == b.offset &&
           same_content(*a.piece, *b.piece, depth + 1);
  }
  return a.piece->kind == PieceKind::anonymous && b.piece->kind == PieceKind::anonymous &&
         a.piece->section->name == b.piece->section->name && a.piece->offset == b.piece->offset &&
         a.piece->size == b.piece->size && a.offset == b.offset;
}

bool Comparison::same_content(const Piece& a, const Piece& b, int depth) const {
  if (a.section->name != b.section->name && a.kind != PieceKind::object) return false;
  if (a.size != b.size || depth >= kMaxDepth) return false;
  // Content may lead back to itself, and by many ways to the same place: what is being compared counts as equal. A
  // difference ends the whole comparison, and what rests on that assumption is forgotten.
  const size_t before = assumed_order_.size();
  if (!assumed_.emplace(&a, &b).second) return true;
  assumed_order_.emplace_back(&a, &b);
  if (!bytes_difference(a, 0, b, 0, a.size, depth)) return true;
  for (; assumed_order_.size() > before; assumed_order_.pop_back()) assumed_.erase(assumed_order_.back());
  return false;
}

std::optional<Comparison::DataDifference> Comparison::bytes_difference(const Piece& a, uint64_t a_start, const Piece& b,
                                                                       uint64_t b_start, uint64_t size,
                                                                       int depth) const {
  // Zeros of a size that only a header claims are not worth the memory.
  const bool has_bytes = a.section->has_data() || b.section->has_data();
  auto bytes_a = without_fields(original_, a, a_start, has_bytes ? size : 0);
  auto bytes_b = without_fields(patched_, b, b_start, has_bytes ? size : 0);
  if (a_start == 0 && b_start == 0) {
    forget_line(a, bytes_a);
    forget_line(b, bytes_b);
  }
  const auto mismatch = std::mismatch(bytes_a.begin(), bytes_a.end(), bytes_b.begin(), bytes_b.end());
  if (mismatch.first != bytes_a.end()) {
    const uint64_t at = static_cast<uint64_t>(mismatch.first - bytes_a.begin());
    return DataDifference{fmt::format("content differs at +{:#x}", at), at};
  }
  const auto refs_a = relocations_in(original_, a, a_start, size);
  const auto refs_b = relocations_in(patched_, b, b_start, size);
  for (size_t i = 0; i < std::max(refs_a.size(), refs_b.size()); ++i) {
    const uint64_t at_a = i < refs_a.size() ? refs_a[i]->offset - a.offset - a_start : UINT64_MAX;
    const uint64_t at_b = i < refs_b.size() ? refs_b[i]->offset - b.offset - b_start : UINT64_MAX;
    const Reference before = at_a <= at_b ? original_.resolve(*refs_a[i]) : Reference();
    const Reference after = at_b <= at_a ? patched_.resolve(*refs_b[i]) : Reference();
    if (at_a != at_b || refs_a[i]->type != refs_b[i]->type || !same_reference(before, after, depth)) {
      const uint64_t at = std::min(at_a, at_b) + b_start;
      return DataDifference{reference_change(at, before, after), at};
    }
  }
  return std::nullopt;
}

std::optional<Comparison::DataDifference> Comparison::data_difference(const Piece& a, const Piece& b) const {
  if (a.size != b.size) return DataDifference{fmt::format("size {} instead of {} bytes", b.size, a.size), {}};
  if (a.section->is_writable() != b.section->is_writable())
    return DataDifference{"moved between constant and writable data", {}};
  if (memory_of(*a.section) != memory_of(*b.section))
    return DataDifference{fmt::format("moved from {} to {}", a.section->name, b.section->name), {}};
  if (a.section->has_data() != b.section->has_data()) {
    // Zeros in .data and .bss are the same content.
    const auto zero = [](const Piece& p) {
      return std::all_of(p.data().begin(), p.data().end(), [](std::byte x) { return x == std::byte{0}; });
    };
    if (!zero(a) || !zero(b)) return DataDifference{"content differs", {}};
  }
  return bytes_difference(a, 0, b, 0, a.size, 0);
}

std::optional<std::string> Comparison::difference(const Piece& a, const Piece& b, bool* only_lines) const {
  CodePair pair{a, b};
  if (memory_of(*a.section) != memory_of(*b.section))
    return fmt::format("moved from {} to {}", a.section->name, b.section->name);
  if (auto reason = code_difference(pair)) return reason;
  if (auto reason = table_difference(a, b)) return reason;
  if (only_lines != nullptr) *only_lines = pair.only_lines;
  return std::nullopt;
}

std::optional<std::string> Comparison::code_difference(CodePair& pair) const {
  const auto code_a = without_padding(original_.code(pair.a));
  const auto code_b = without_padding(patched_.code(pair.b));
  const size_t common = std::min(code_a.size(), code_b.size());
  for (size_t i = 0; i < common; ++i) {
    if (auto reason = instruction_difference(pair, *code_a[i], *code_b[i])) return reason;
  }
  if (code_a.size() != code_b.size()) return fmt::format("{} instructions instead of {}", code_b.size(), code_a.size());
  return std::nullopt;
}

std::optional<std::string> Comparison::instruction_difference(CodePair& pair, const elf::Instruction& x,
                                                              const elf::Instruction& y) const {
  const auto place = [&] { return fmt::format("code differs at +{:#x}", y.offset); };
  const auto refs_x = relocations_in(original_, pair.a, x.offset, x.size);
  const auto refs_y = relocations_in(patched_, pair.b, y.offset, y.size);
  if (x.flow != y.flow || x.condition != y.condition || refs_x.size() != refs_y.size()) return place();
  if (x.flow != elf::Flow::none && refs_x.empty()) {
    if (!same_branch(pair, x, y)) return place();
    return std::nullopt;
  }
  if (!same_bytes(pair, x, y)) return place();
  for (size_t k = 0; k < refs_x.size(); ++k) {
    const bool same_place =
        refs_x[k]->offset - pair.a.offset - x.offset == refs_y[k]->offset - pair.b.offset - y.offset;
    const Reference a = original_.resolve(*refs_x[k]), b = patched_.resolve(*refs_y[k]);
    if (same_place && refs_x[k]->type == refs_y[k]->type &&
        (same_reference(a, b, 0) || is_line_in_text(pair, x.offset, a, y.offset, b)))
      continue;
    return reference_change(y.offset, a, b);
  }
  return std::nullopt;
}

/// A message that says where it stands, as memcpy()'s does.
bool Comparison::is_line_in_text(CodePair& pair, uint64_t offset_a, const Reference& a, uint64_t offset_b,
                                 const Reference& b) const {
  using Kind = Reference::Kind;
  if (a.kind != Kind::string || b.kind != Kind::string || a.offset != 0 || b.offset != 0) return false;
  const auto lines = lines_in_text(a.string, b.string);
  if (!lines || !lines_.explain(pair.a, offset_a, lines->before, pair.b, offset_b, lines->after)) return false;
  pair.only_lines = true;
  return true;
}

/// A direct branch without relocation.
bool Comparison::same_branch(const CodePair& pair, const elf::Instruction& x, const elf::Instruction& y) const {
  const auto out_x = original_.outward_branch(pair.a, x);
  const auto out_y = patched_.outward_branch(pair.b, y);
  if (out_x || out_y) return out_x && out_y && same_reference(*out_x, *out_y, 0);
  const int64_t number = instruction_number(original_, pair.a, x.target);
  if (number != instruction_number(patched_, pair.b, y.target)) return false;
  return number >= 0 || x.target - static_cast<int64_t>(x.offset) == y.target - static_cast<int64_t>(y.offset);
}

bool Comparison::same_bytes(CodePair& pair, const elf::Instruction& x, const elf::Instruction& y) const {
  const auto bytes_x = without_fields(original_, pair.a, x.offset, x.size);
  const auto bytes_y = without_fields(patched_, pair.b, y.offset, y.size);
  if (bytes_x == bytes_y) return true;
  if (x.flow != elf::Flow::none) return false;
  const auto constants = original_.disassembler().changed_immediate(bytes_x, bytes_y);
  if (!constants || !lines_.explain(pair.a, x.offset, constants->before, pair.b, y.offset, constants->after))
    return false;
  pair.only_lines = true;
  return true;
}

void Comparison::learn_lines() {
  if (!lines_.needs_learning()) return;
  lines_.set_learning(true);
  for (const Piece& b : patched_.all()) {
    const Piece* a = b.kind == PieceKind::function ? correlation_.original_of(&b) : nullptr;
    if (a == nullptr) continue;
    CodePair pair{*a, b};
    code_difference(pair);
    learn_table_lines(*a, b);
  }
  lines_.set_learning(false);
}

/// Entries that hold a line (__bug_table) of functions with as many of them on both sides.
void Comparison::learn_table_lines(const Piece& a, const Piece& b) {
  const auto lines = [](const std::vector<TableEntry>& entries) {
    std::vector<int64_t> result;
    for (const TableEntry& e : entries) {
      for (const auto& [offset, size] : e.layout->ignored) {
        if (size == 2) result.push_back(read_le<uint16_t>(e.section->data, e.offset + offset));
      }
    }
    return result;
  };
  const auto before = lines(original_tables_.of(&a));
  const auto after = lines(patched_tables_.of(&b));
  for (size_t i = 0; i < before.size() && before.size() == after.size(); ++i) lines_.add_line(a, before[i], after[i]);
}

std::optional<std::string> Comparison::table_difference(const Piece& a, const Piece& b) const {
  const auto compared = [](const std::vector<TableEntry>& entries) {
    std::vector<TableEntry> result;
    for (const TableEntry& e : entries) {
      if (e.spec->compared) result.push_back(e);
    }
    return result;
  };
  const auto left = compared(original_tables_.of(&a));
  const auto right = compared(patched_tables_.of(&b));
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    if (left[i].section->name != right[i].section->name)
      return fmt::format("other entries in {}", right[i].section->name);
    if (!same_entry(left[i], right[i], a, b))
      return fmt::format("entry in {} differs (site +{:#x})", right[i].section->name, right[i].owner_offset);
  }
  if (left.size() != right.size()) return fmt::format("{} table entries instead of {}", right.size(), left.size());
  return std::nullopt;
}

bool Comparison::same_entry(const TableEntry& a, const TableEntry& b, const Piece& function_a,
                            const Piece& function_b) const {
  if (a.size != b.size || a.layout != b.layout) return false;
  if (instruction_number(original_, function_a, a.owner_offset) !=
      instruction_number(patched_, function_b, b.owner_offset))
    return false;
  const Piece* piece_a = original_.at(*a.section, a.offset);
  const Piece* piece_b = patched_.at(*b.section, b.offset);
  const uint64_t start_a = a.offset - piece_a->offset;
  const uint64_t start_b = b.offset - piece_b->offset;
  auto bytes_a = without_fields(original_, *piece_a, start_a, a.size);
  auto bytes_b = without_fields(patched_, *piece_b, start_b, b.size);
  for (const auto& [offset, size] : a.layout->ignored) {
    for (uint64_t i = offset; i < offset + size && i < a.size; ++i) bytes_a[i] = bytes_b[i] = std::byte{0};
  }
  if (bytes_a != bytes_b) return false;
  const auto refs_a = relocations_in(original_, *piece_a, start_a, a.size);
  const auto refs_b = relocations_in(patched_, *piece_b, start_b, b.size);
  if (refs_a.size() != refs_b.size()) return false;
  const std::optional<Fragment> fragment_a = fragment_of(original_, a);
  const std::optional<Fragment> fragment_b = fragment_of(patched_, b);
  for (size_t i = 0; i < refs_a.size(); ++i) {
    if (refs_a[i]->offset - a.offset != refs_b[i]->offset - b.offset) return false;
    const uint64_t field = refs_a[i]->offset - a.offset;
    const bool to_fragment = fragment_a && fragment_b && fragment_a->is_field(field);
    if (to_fragment ? !same_fragment(*fragment_a, *fragment_b)
                    : !same_reference(original_.resolve(*refs_a[i]), patched_.resolve(*refs_b[i]), 0))
      return false;
  }
  return true;
}

bool Comparison::same_fragment(const Fragment& a, const Fragment& b) const {
  if (a.size != b.size) return false;
  return a.size == 0 || !bytes_difference(*a.piece, a.start, *b.piece, b.start, a.size, 0);
}

ChangeSet compare(const Pieces& original, const Pieces& patched, const Correlation& correlation,
                  const Comparison& comparison, const Tables& patched_tables) {
  ChangeSet result;
  std::map<const Piece*, std::string> changed;  // leaders
  std::unordered_set<const Piece*> lines_moved;
  for (const Piece& b : patched.all()) {
    if (b.symbol == nullptr || is_private_static(b) || patched_tables.is_table(*b.section)) continue;
    const Piece* a = correlation.original_of(&b);
    if (b.kind == PieceKind::function) {
      const Piece* leader = patched.leader(&b);
      if (a == nullptr) {
        if (leader != &b) changed.emplace(leader, fmt::format("gained the part {}", b.name()));
      } else {
        bool only_lines = false;
        if (auto reason = comparison.difference(*a, b, &only_lines)) {
          log("compare").debug("{}: {}", b.name(), *reason);
          changed.emplace(leader, leader == &b ? *reason : fmt::format("{} of {}", *reason, b.name()));
        } else if (only_lines) {
          lines_moved.insert(leader);
        }
      }
    } else if (b.kind == PieceKind::object && a != nullptr) {
      if (auto difference = comparison.data_difference(*a, b))
        result.data.push_back({a, &b, difference->text, difference->at});
    }
  }
  for (const Piece& a : original.all()) {
    if (a.kind != PieceKind::function || a.symbol == nullptr || correlation.patched_of(&a) != nullptr) continue;
    const Piece* leader = original.leader(&a);
    if (leader == &a) {
      result.removed_functions.push_back(&a);
    } else if (const Piece* b = correlation.patched_of(leader)) {
      changed.emplace(b, fmt::format("lost the part {}", a.name()));
    }
  }
  for (const Piece& b : patched.all()) {
    if (b.kind != PieceKind::function || b.symbol == nullptr || patched.leader(&b) != &b) continue;
    const Piece* a = correlation.original_of(&b);
    if (a == nullptr) {
      result.functions.push_back({FunctionChange::Kind::added, nullptr, &b, "new function"});
    } else if (const auto found = changed.find(&b); found != changed.end()) {
      result.functions.push_back({FunctionChange::Kind::changed, a, &b, found->second});
    } else {
      if (lines_moved.count(&b) != 0) result.only_lines.push_back(&b);
      // The linker script gathers some sections between marks that the kernel asks for (in_sched_functions(), kprobes;
      // include/asm-generic/vmlinux.lds.h, 5.10-6.12).
      const std::string from = memory_kind(a->section->name), to = memory_kind(b.section->name);
      if (from != to) result.moved.emplace_back(&b, fmt::format("from {} to {}", from, to));
    }
  }
  return result;
}

}  // namespace klp::diff
