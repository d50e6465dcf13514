#include "diff/image_noise.h"

#include <algorithm>

#include "support/bytes.h"

namespace klp::diff {

bool is_inner_branch(const FormItem& x, const FormItem& y) {
  return x.target().starts_with('@') && y.target().starts_with('@') && x.before_target == y.before_target &&
         x.text.compare(0, x.before_target, y.text, 0, y.before_target) == 0;
}

std::string_view ImageNoise::between(const ImageFunction& f, const FormItem& x, const ImageFunction& g,
                                     const FormItem& y) const {
  if (is_per_cpu_only(f, x, g, y)) return kPerCpuNoise;
  return is_line_number(f, x, g, y) ? kLineNoise : std::string_view();
}

/// Proven by DWARF: the constant is the line of its instruction, in both.
bool ImageNoise::is_line_number(const ImageFunction& f, const FormItem& x, const ImageFunction& g,
                                const FormItem& y) const {
  if (a_.image().type() == 1) return false;
  const auto changed =
      disassembler_.changed_immediate(a_.code(f).subspan(x.offset, x.size), b_.code(g).subspan(y.offset, y.size));
  if (!changed) return false;
  const auto is_line = [](std::optional<elf::CompileUnits>& units, const elf::ElfObject& image, uint64_t address,
                          int64_t value) {
    if (!units) units.emplace(image);
    const std::vector<unsigned> lines = units->lines_at(address);
    return std::any_of(lines.begin(), lines.end(), [&](unsigned line) { return line == value; });
  };
  return is_line(units_a_, a_.image(), f.symbol->value + x.offset, changed->before) &&
         is_line(units_b_, b_.image(), g.symbol->value + y.offset, changed->after);
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
