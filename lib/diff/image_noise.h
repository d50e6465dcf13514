// Differences between instructions of two builds that mean nothing.
#pragma once

#include <optional>
#include <set>
#include <string_view>

#include "diff/build_words.h"
#include "diff/image_compare.h"
#include "diff/image_form.h"
#include "elf/compile_units.h"

namespace klp::diff {

inline constexpr std::string_view kPerCpuNoise = "per-cpu addresses", kLineNoise = "line numbers",
                                  kBuildNoise = "build information";

/// The same branch to another instruction of its function.
bool is_inner_branch(const FormItem& x, const FormItem& y);

class ImageNoise {
 public:
  /// All must outlive it; `lines` as for compare_images(). Not thread-safe.
  ImageNoise(const ImageForm& before, const ImageForm& after, const elf::Disassembler& disassembler, LineSources lines);

  /// What kind of noise makes `x` of `f` before differ from `y` of `g` after; empty when they really differ.
  std::string_view between(const ImageFunction& f, const FormItem& x, const ImageFunction& g, const FormItem& y) const;

  /// The same without a look at debug information: nothing where that could tell, because a constant differs.
  std::optional<std::string_view> at_first_sight(const ImageFunction& f, const FormItem& x, const ImageFunction& g,
                                                 const FormItem& y) const;

  const BuildWords& words() const { return words_; }

 private:
  bool is_line_number(const ImageFunction& f, const FormItem& x, const ImageFunction& g, const FormItem& y) const;
  bool is_per_cpu_only(const ImageFunction& f, const FormItem& x, const ImageFunction& g, const FormItem& y) const;

  /// The lines that an instruction stands for.
  struct Lines {
    std::optional<elf::CompileUnits> units;  ///< of a linked image
    std::shared_ptr<const elf::SourceLines> rows;
    std::set<int64_t> of(const ImageForm& form, const LineSource& source, const ImageFunction& f, const FormItem& item);
  };

  const ImageForm &a_, &b_;
  const elf::Disassembler& disassembler_;
  LineSources sources_;
  BuildWords words_;
  mutable Lines lines_a_, lines_b_;  ///< read when the first constant is asked about
};

}  // namespace klp::diff
