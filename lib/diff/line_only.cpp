#include "diff/line_only.h"

#include <algorithm>

#include "diff/correlation.h"

namespace klp::diff {
namespace {

constexpr int64_t kMaxLine = 1 << 20;
/// Instructions looked at on each side for the file or function name that goes with a line.
constexpr size_t kWindow = 12;

bool is_source_path(std::string_view text) {
  return text.size() > 2 && (text.ends_with(".c") || text.ends_with(".h")) &&
         text.find_first_of(" \t\n%:") == std::string_view::npos;
}

bool names_source(const Reference& reference) {
  if (reference.kind == Reference::Kind::string) return is_source_path(reference.string);
  if (reference.kind != Reference::Kind::piece || !is_private_static(*reference.piece)) return false;
  const std::string_view name = reference.piece->name();
  return name.find("__func__") != std::string_view::npos || name.find("__FUNCTION__") != std::string_view::npos ||
         name.find("__PRETTY_FUNCTION__") != std::string_view::npos;
}

/// Whether the arguments that are set up with the instruction at `offset`, for one call, include a source name.
bool set_up_with_name(const Pieces& pieces, const Piece& piece, uint64_t offset) {
  const auto& code = pieces.code(piece);
  const auto here = std::lower_bound(code.begin(), code.end(), offset,
                                     [](const elf::Instruction& i, uint64_t value) { return i.offset < value; });
  auto first = here;
  for (size_t n = 0; n < kWindow && first != code.begin(); ++n) {
    const elf::Instruction& before = *(first - 1);
    if (before.flow == elf::Flow::call || before.flow == elf::Flow::jump) break;
    --first;
  }
  auto last = here;
  for (size_t n = 0; n < kWindow && last != code.end(); ++n, ++last) {
    if (last->flow == elf::Flow::call || last->flow == elf::Flow::jump) break;
  }
  const uint64_t begin = piece.offset + first->offset;
  const uint64_t end = last == code.end() ? piece.end() : piece.offset + last->offset;
  const auto relocations = pieces.relocations(piece);
  return std::any_of(relocations.begin(), relocations.end(), [&](const elf::Relocation& r) {
    return r.offset >= begin && r.offset < end && names_source(pieces.resolve(r));
  });
}

}  // namespace

std::optional<LinesInText> lines_in_text(std::string_view before, std::string_view after) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t start = static_cast<size_t>(
      std::mismatch(before.begin(), before.begin() + std::min(before.size(), after.size()), after.begin()).first -
      before.begin());
  while (start > 0 && is_digit(before[start - 1])) --start;
  const std::string_view name = before.substr(0, start);
  if (!name.ends_with(".c:") && !name.ends_with(".h:")) return std::nullopt;
  const auto number = [&](std::string_view text, size_t& end) {
    int64_t value = 0;
    for (end = start; end < text.size() && is_digit(text[end]) && value <= kMaxLine; ++end)
      value = value * 10 + text[end] - '0';
    return end == start ? 0 : value;
  };
  size_t end_a = 0, end_b = 0;
  const LinesInText result{number(before, end_a), number(after, end_b)};
  if (result.before == result.after || result.before == 0 || result.after == 0 ||
      before.substr(end_a) != after.substr(end_b))
    return std::nullopt;
  return result;
}

void LineNumbers::read_tables() const {
  if (!original_lines_) original_lines_ = elf::read_line_table(original_.object());
  if (!patched_lines_) patched_lines_ = elf::read_line_table(patched_.object());
}

bool LineNumbers::needs_learning() const {
  return original_.object().maybe_section(".debug_line") == nullptr &&
         patched_.object().maybe_section(".debug_line") == nullptr;
}

bool LineNumbers::explain(const Piece& a, uint64_t offset_a, int64_t before, const Piece& b, uint64_t offset_b,
                          int64_t after) const {
  if (before <= 0 || after <= 0 || before > kMaxLine || after > kMaxLine) return false;
  if (needs_learning()) {
    if (!set_up_with_name(original_, a, offset_a) || !set_up_with_name(patched_, b, offset_b)) return false;
    if (!learning_) return fits_others({&a, before, after});
    seen_.push_back({&a, before, after});
    return true;
  }
  read_tables();
  const auto line_a = original_lines_->line_at(*a.section, a.offset + offset_a);
  const auto line_b = patched_lines_->line_at(*b.section, b.offset + offset_b);
  if (line_a && line_b && before == *line_a && after == *line_b) return true;
  return near_ && is_behind(lines_around(*original_lines_, a, offset_a), before,
                            lines_around(*patched_lines_, b, offset_b), after);
}

std::set<int64_t> LineNumbers::lines_around(const elf::LineTable& table, const Piece& piece, uint64_t offset) {
  std::set<int64_t> result;
  const uint64_t end = std::min(offset + kNearCode, piece.size);
  for (uint64_t at = offset - std::min(offset, kNearCode); at < end; ++at) {
    if (const auto line = table.line_at(*piece.section, piece.offset + at)) result.insert(*line);
  }
  return result;
}

bool is_behind(const std::set<int64_t>& lines_before, int64_t before, const std::set<int64_t>& lines_after,
               int64_t after) {
  for (int64_t behind = 0; behind <= kLongStatement; ++behind) {
    if (lines_before.count(before - behind) != 0 && lines_after.count(after - behind) != 0) return true;
  }
  return false;
}

bool LineNumbers::fits_others(const Moved& line) const {
  const Moved* below = nullptr;
  const Moved* above = nullptr;
  bool same_shift = false;
  for (const Moved& other : seen_) {
    if (other.function == line.function) continue;
    same_shift = same_shift || other.after - other.before == line.after - line.before;
    if (other.after == other.before) continue;  // it may be a line of a header
    if (other.before <= line.before && (below == nullptr || below->before < other.before)) below = &other;
    if (other.before >= line.before && (above == nullptr || above->before > other.before)) above = &other;
  }
  if (!same_shift) return false;
  // Lines keep their order, so the places next to it have moved as far, unless something was inserted right there.
  const auto shift = [](const Moved& moved) { return moved.after - moved.before; };
  return (below == nullptr || shift(*below) == shift(line)) && (above == nullptr || shift(*above) == shift(line)) &&
         (below != nullptr || above != nullptr);
}

}  // namespace klp::diff
