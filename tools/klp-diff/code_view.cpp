#include "code_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "kernel/definitions.h"
#include "support/run.h"

namespace klp::tools {
namespace {

/// The path of a file in a tree: what the compiler was called with may begin with a directory of the build's machine.
std::optional<fs::path> find_in_tree(const fs::path& tree, std::string file) {
  if (tree.empty()) return std::nullopt;
  while (!file.empty()) {
    if (file.front() != '/' && fs::is_regular_file(tree / file)) return tree / file;
    const size_t slash = file.find('/');
    if (slash == std::string::npos) break;
    file.erase(0, slash + 1);
  }
  return std::nullopt;
}

using Places = std::map<std::string, std::set<unsigned>>;

Places places_of(const std::vector<diff::CodePart>& parts, bool after) {
  Places result;
  for (const diff::CodePart& part : parts) {
    for (const diff::CodeRow& row : part.rows) {
      const diff::CodeLine& line = after ? row.after : row.before;
      if (!line.file.empty() && line.line != 0) result[line.file].insert(line.line);
    }
  }
  return result;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::istringstream text(read_file(file));
  std::vector<std::string> result;
  for (std::string line; std::getline(text, line);) result.push_back(std::move(line));
  return result;
}

std::string trimmed(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t"), end = line.find_last_not_of(" \t\r");
  std::string result = begin == std::string::npos ? "" : line.substr(begin, end - begin + 1);
  for (char& c : result) c = static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) == 0x7f ? ' ' : c;
  return result;
}

/// A file of one tree and its definitions.
struct SourceFile {
  std::vector<std::string> lines;
  std::vector<kernel::Definition> definitions;

  const kernel::Definition* at(unsigned line) const {
    for (const kernel::Definition& d : definitions) {
      if (d.first <= line && line <= d.last) return &d;
    }
    return nullptr;
  }

  const kernel::Definition* same(const kernel::Definition& other) const {
    for (const kernel::Definition& d : definitions) {
      if (d.kind == other.kind && d.name == other.name && !d.name.empty()) return &d;
    }
    return nullptr;
  }

  std::string text(const kernel::Definition* d) const {
    std::string result;
    for (size_t n = d == nullptr ? 1 : d->first; d != nullptr && n <= std::min<size_t>(d->last, lines.size()); ++n)
      result += lines[n - 1] + "\n";
    return result;
  }
};

class SourceDiff {
 public:
  SourceDiff(const SourceTrees& trees, std::vector<std::string>& notes) : trees_(trees), notes_(notes) {}

  std::string run(const std::vector<diff::CodePart>& parts) {
    const Places before = places_of(parts, false), after = places_of(parts, true);
    std::set<std::string> files;
    for (const auto* places : {&before, &after}) {
      for (const auto& [file, lines] : *places) files.insert(file);
    }
    std::string result;
    for (const std::string& file : files) {
      const auto lines = [&](const Places& places) {
        const auto found = places.find(file);
        return found == places.end() ? std::set<unsigned>() : found->second;
      };
      result += diff_of(file, lines(before), lines(after));
    }
    return result;
  }

 private:
  std::optional<SourceFile> read(const fs::path& tree, const std::string& file) {
    const auto path = find_in_tree(tree, file);
    if (!path) {
      notes_.push_back(fmt::format("{}: not found in {}", file, tree.string()));
      return std::nullopt;
    }
    return SourceFile{lines_of(*path), kernel::definitions(read_file(*path))};
  }

  std::string diff_of(const std::string& file, const std::set<unsigned>& old_lines,
                      const std::set<unsigned>& new_lines) {
    const auto a = read(trees_.before, file), b = read(trees_.after, file);
    if (!a || !b) return {};
    std::set<std::pair<unsigned, unsigned>> seen;  // where each pair begins
    std::string result;
    const auto add = [&](const kernel::Definition* x, const kernel::Definition* y) {
      if (!seen.emplace(x != nullptr ? x->first : 0, y != nullptr ? y->first : 0).second) return;
      const std::string old_text = a->text(x), new_text = b->text(y);
      if (old_text == new_text) return;
      if (result.empty()) result = fmt::format("--- a/{}\n+++ b/{}\n", file, file);
      result += hunks(old_text, x != nullptr ? x->first : 1, new_text, y != nullptr ? y->first : 1);
    };
    for (const unsigned line : new_lines) {
      if (const kernel::Definition* y = b->at(line)) add(a->same(*y), y);
    }
    for (const unsigned line : old_lines) {
      if (const kernel::Definition* x = a->at(line)) add(x, b->same(*x));
    }
    return result;
  }

  /// Of two texts that begin at these lines of their files.
  static std::string hunks(const std::string& old_text, unsigned old_first, const std::string& new_text,
                           unsigned new_first) {
    const TempDir directory(fs::temp_directory_path(), "hunks");
    const fs::path a = directory.path() / "a", b = directory.path() / "b";
    write_file_atomically(a, old_text);
    write_file_atomically(b, new_text);
    const RunResult made = klp::run({"diff", "-u", a.string(), b.string()});
    check(made.status == 1, "diff: {}", made.output);
    std::istringstream text(made.output);
    std::string result;
    size_t number = 0;
    for (std::string line; std::getline(text, line); ++number) {
      if (number < 2) continue;  // names of the files
      result += (line.starts_with("@@ ") ? moved(line, old_first - 1, new_first - 1) : line) + "\n";
    }
    return result;
  }

  /// "@@ -12,7 +14,8 @@" of "@@ -2,7 +2,8 @@".
  static std::string moved(const std::string& heading, unsigned old_by, unsigned new_by) {
    std::istringstream in(heading);
    std::string start, before, after;
    in >> start >> before >> after;
    const auto shift = [](const std::string& range, unsigned by) {
      const size_t comma = std::min(range.find(','), range.size());
      return fmt::format("{}{}{}", range[0], std::stoul(range.substr(1, comma - 1)) + by, range.substr(comma));
    };
    return fmt::format("@@ {} {} @@", shift(before, old_by), shift(after, new_by));
  }

  const SourceTrees& trees_;
  std::vector<std::string>& notes_;
};

}  // namespace

elf::SourceLines read_lines(const ComparedSide& side, const std::string& binary) {
  using Want = elf::ElfObject::Want;
  try {
    const fs::path file = side.debug_file(binary);
    elf::ElfObject object = elf::ElfObject::read(file, Want::symbols_only);
    if (object.type() == 1) object = elf::ElfObject::read(file);
    return elf::SourceLines(object);
  } catch (const Error& error) {
    if (error.status() == ExitStatus::interrupted) throw;
    return {};  // the code has been read; it is shown without lines
  }
}

diff::LineSources line_sources(const ComparedSide& before, const std::string& old_binary, const ComparedSide& after,
                               const std::string& binary) {
  const auto of = [](const ComparedSide& side, const std::string& name) -> diff::LineSource {
    return [&side, name] { return std::make_shared<const elf::SourceLines>(read_lines(side, name)); };
  };
  return {of(before, old_binary), of(after, binary)};
}

report::SourceText SourceFiles::text(const std::vector<diff::CodePart>& parts, bool after) {
  report::SourceText result;
  if (tree_.empty()) return result;
  for (const auto& [file, numbers] : places_of(parts, after)) {
    const auto [lines, fresh] = lines_.try_emplace(file);
    if (const auto path = fresh ? find_in_tree(tree_, file) : std::nullopt) lines->second = lines_of(*path);
    for (const unsigned number : numbers) {
      if (number <= lines->second.size()) result[{file, number}] = trimmed(lines->second[number - 1]);
    }
  }
  return result;
}

report::SourceText source_text(const std::vector<diff::CodePart>& parts, bool after, const fs::path& tree) {
  return SourceFiles(tree).text(parts, after);
}

std::string source_diff(const std::vector<diff::CodePart>& parts, const SourceTrees& trees,
                        std::vector<std::string>& notes) {
  return SourceDiff(trees, notes).run(parts);
}

}  // namespace klp::tools
