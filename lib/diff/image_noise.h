// Differences between instructions of two builds that mean nothing.
#pragma once

#include <optional>
#include <string_view>

#include "diff/image_form.h"
#include "elf/compile_units.h"

namespace klp::diff {

inline constexpr std::string_view kPerCpuNoise = "per-cpu addresses", kLineNoise = "line numbers";

/// The same branch to another instruction of its function.
bool is_inner_branch(const FormItem& x, const FormItem& y);

class ImageNoise {
 public:
  /// All must outlive it. Not thread-safe.
  ImageNoise(const ImageForm& before, const ImageForm& after, const elf::Disassembler& disassembler)
      : a_(before), b_(after), disassembler_(disassembler) {}

  /// What kind of noise makes `x` of `f` before differ from `y` of `g` after; empty when they really differ.
  std::string_view between(const ImageFunction& f, const FormItem& x, const ImageFunction& g, const FormItem& y) const;

 private:
  bool is_line_number(const ImageFunction& f, const FormItem& x, const ImageFunction& g, const FormItem& y) const;
  bool is_per_cpu_only(const ImageFunction& f, const FormItem& x, const ImageFunction& g, const FormItem& y) const;

  const ImageForm &a_, &b_;
  const elf::Disassembler& disassembler_;
  mutable std::optional<elf::CompileUnits> units_a_, units_b_;  ///< read when the first constant is asked about
};

}  // namespace klp::diff
