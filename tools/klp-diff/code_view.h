// A binary of both sides opened for a look at its code: forms, source lines, and the two side by side.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "compare_sides.h"
#include "diff/side_by_side.h"
#include "report/function_report.h"

namespace klp::tools {

/// The source lines of a binary; nothing is known where it has no debug information, or where that cannot be read.
elf::SourceLines read_lines(const ComparedSide& side, const std::string& binary);

/// The same of both sides, read when they are needed. Both sides must outlive the result.
diff::LineSources line_sources(const ComparedSide& before, const std::string& old_binary, const ComparedSide& after,
                               const std::string& binary);

/// One build of it.
class OpenedBinary {
 public:
  OpenedBinary(const ComparedSide& side, const std::string& binary)
      : object_(read_binary(side.binaries().at(binary))),
        form_(object_),
        disassembler_(object_.machine()),
        lines_(read_lines(side, binary)) {}

  const diff::ImageForm& form() const { return form_; }
  bool has_lines() const { return !lines_.is_empty(); }
  diff::CodeSource source() const { return {form_, disassembler_, &lines_}; }

 private:
  elf::ElfObject object_;
  diff::ImageForm form_;
  elf::Disassembler disassembler_;
  elf::SourceLines lines_;
};

/// Two source trees, either of which may be empty: not known.
struct SourceTrees {
  fs::path before, after;
};

/// The text of the lines that the instructions of `parts` come from, of the side before or after.
report::SourceText source_text(const std::vector<diff::CodePart>& parts, bool after, const fs::path& tree);

/// The same for many functions: files are read once. Nothing is known of an empty tree.
class SourceFiles {
 public:
  explicit SourceFiles(fs::path tree) : tree_(std::move(tree)) {}
  report::SourceText text(const std::vector<diff::CodePart>& parts, bool after);

 private:
  fs::path tree_;
  std::map<std::string, std::vector<std::string>> lines_;  ///< of a file that is not there: none
};

/// `diff -u` of the definitions that the instructions come from: the function, and what is inlined in it. Both trees
/// must be known; a file that is not found in its tree is named in `notes`.
std::string source_diff(const std::vector<diff::CodePart>& parts, const SourceTrees& trees,
                        std::vector<std::string>& notes);

}  // namespace klp::tools
