#include "diff/image_noise.h"

#include <algorithm>

#include "diff/line_only.h"
#include "support/bytes.h"

namespace klp::diff {

bool is_inner_branch(const FormItem& x, const FormItem& y) {
  return x.target().starts_with('@') && y.target().starts_with('@') && x.before_target == y.before_target &&
         x.text.compare(0, x.before_target, y.text, 0, y.before_target) == 0;
}

ImageNoise::ImageNoise(const ImageForm& before, const ImageForm& after, const elf::Disassembler& disassembler,
                       LineSources lines)
    : a_(before),
      b_(after),
      disassembler_(disassembler),
      sources_(std::move(lines)),
      words_(before.image(), after.image()) {}

std::string_view ImageNoise::between(const ImageFunction& f, const FormItem& x, const ImageFunction& g,
                                     const FormItem& y) const {
  if (const auto known = at_first_sight(f, x, g, y)) return *known;
  return is_line_number(f, x, g, y) ? kLineNoise : std::string_view();
}

std::optional<std::string_view> ImageNoise::at_first_sight(const ImageFunction& f, const FormItem& x,
                                                           const ImageFunction& g, const FormItem& y) const {
  constexpr int64_t kMaxLine = 1 << 20;
  if (is_per_cpu_only(f, x, g, y)) return kPerCpuNoise;
  if (lines_in_text(x.text, y.text)) return kLineNoise;
  if (words_.explain(x.text, y.text)) return kBuildNoise;
  const auto changed =
      disassembler_.changed_immediate(a_.code(f).subspan(x.offset, x.size), b_.code(g).subspan(y.offset, y.size));
  const auto may_be = [&](int64_t line) { return line > 0 && line < kMaxLine; };
  if (changed && may_be(changed->before) && may_be(changed->after)) return std::nullopt;
  return std::string_view();
}

std::set<int64_t> ImageNoise::Lines::of(const ImageForm& form, const LineSource& source, const ImageFunction& f,
                                        const FormItem& item) {
  constexpr uint16_t kRelocatable = 1;  // ET_REL
  const uint64_t value = f.symbol->value + item.offset;
  if (form.image().type() != kRelocatable) {
    if (!units) units.emplace(form.image());
    const std::vector<unsigned> lines = units->lines_at(value);
    return {lines.begin(), lines.end()};
  }
  if (rows == nullptr) rows = source ? source() : std::make_shared<const elf::SourceLines>();
  std::set<int64_t> lines;
  const uint64_t start = value - std::min(item.offset, kNearCode);
  for (const elf::SourceRow& row : rows->rows(f.symbol->section->name, start, value - start + kNearCode)) {
    if (!row.file.empty()) lines.insert(row.line);
  }
  return lines;
}

/// Told by debug information: the constant is the line of its instruction, or as far behind one around it, in both.
bool ImageNoise::is_line_number(const ImageFunction& f, const FormItem& x, const ImageFunction& g,
                                const FormItem& y) const {
  const auto changed =
      disassembler_.changed_immediate(a_.code(f).subspan(x.offset, x.size), b_.code(g).subspan(y.offset, y.size));
  if (!changed) return false;
  return is_behind(lines_a_.of(a_, sources_.before, f, x), changed->before, lines_b_.of(b_, sources_.after, g, y),
                   changed->after);
}

/// Whether two instructions differ in one number only, which is the offset of the same per-cpu variable in each.
bool ImageNoise::is_per_cpu_only(const ImageFunction& f, const FormItem& x, const ImageFunction& g,
                                 const FormItem& y) const {
  constexpr size_t kField = 4;
  if (x.size != y.size || x.text.size() != y.text.size() || x.text.size() < x.size) return false;
  const auto raw_x = a_.code(f).subspan(x.offset, x.size), raw_y = b_.code(g).subspan(y.offset, y.size);
  for (size_t field = 0; field + kField <= x.size; ++field) {
    const auto equal_but = [&](size_t from, size_t to) {
      return std::equal(x.text.begin(), x.text.begin() + static_cast<ptrdiff_t>(from), y.text.begin()) &&
             std::equal(x.text.begin() + static_cast<ptrdiff_t>(to), x.text.end(),
                        y.text.begin() + static_cast<ptrdiff_t>(to));
    };
    if (!equal_but(field, field + kField)) continue;
    const std::string before = a_.per_cpu(read_le<uint32_t>(raw_x, field));
    if (!before.empty() && before == b_.per_cpu(read_le<uint32_t>(raw_y, field))) return true;
  }
  return false;
}

}  // namespace klp::diff
