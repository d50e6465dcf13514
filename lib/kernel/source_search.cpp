#include "kernel/source_search.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace klp::kernel {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

size_t skip_blanks(std::string_view text, size_t at) {
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  return at;
}

/// Behind the parenthesis that closes the one at `at`.
size_t behind_parentheses(std::string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && --depth == 0) return at + 1;
  }
  return at;
}

/// A function's body, or a variable's value or end, comes after the name at `start`, whose line begins with `line`.
bool is_definition(std::string_view text, std::string_view line, size_t end) {
  if (line.empty() || !is_word(line.front()) || line.starts_with("extern") || line.starts_with("typedef") ||
      line.find('=') != line.npos || line.find('(') != line.npos)
    return false;
  size_t at = skip_blanks(text, end);
  if (at >= text.size()) return false;
  if (text[at] != '(') return (text[at] == '=' || text[at] == '[' || text[at] == ';') && line.find(' ') != line.npos;
  at = skip_blanks(text, behind_parentheses(text, at));
  while (at < text.size() && is_word(text[at])) {  // attributes
    while (at < text.size() && is_word(text[at])) ++at;
    if (at < text.size() && text[at] == '(') at = behind_parentheses(text, at);
    at = skip_blanks(text, at);
  }
  return at < text.size() && text[at] == '{';
}

/// The directories that hold no code of this kernel.
bool is_searched(const fs::path& directory) {
  constexpr std::array<std::string_view, 6> kOthers = {"Documentation", "tools",    "samples",
                                                       "scripts",       "LICENSES", "debian"};
  const std::string name = directory.filename().string();
  return !name.starts_with('.') && std::find(kOthers.begin(), kOthers.end(), name) == kOthers.end();
}

class Search {
 public:
  Search(const fs::path& tree, const std::vector<std::string>& names) : tree_(tree), names_(names) {
    result_.resize(names.size());
  }

  /// Links are followed as far as they lead to files and directories of the source: a patched tree consists of them.
  void look_in(const fs::path& directory, bool deeper) {
    if (is_done()) return;
    std::error_code error;
    std::vector<fs::path> files, directories;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
      if (entry.is_directory(error)) {
        if (deeper && is_searched(entry.path())) directories.push_back(entry.path());
      } else if (entry.path().extension() == ".c" && entry.is_regular_file(error)) {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    std::sort(directories.begin(), directories.end());
    for (const fs::path& file : files) look_at(file);
    if (++depth_ <= 32) {
      for (const fs::path& inner : directories) look_in(inner, true);
    }
    --depth_;
  }

  std::vector<std::string> result() { return std::move(result_); }

 private:
  bool is_done() const {
    return std::none_of(result_.begin(), result_.end(), [](const std::string& file) { return file.empty(); });
  }

  void look_at(const fs::path& file) {
    const std::string text = read_file(file);
    for (size_t i = 0; i < names_.size(); ++i) {
      if (result_[i].empty() && defines(text, names_[i])) result_[i] = file.lexically_relative(tree_).generic_string();
    }
  }

  const fs::path& tree_;
  const std::vector<std::string>& names_;
  std::vector<std::string> result_;
  int depth_ = 0;
};

}  // namespace

bool defines(std::string_view text, std::string_view name) {
  for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at > 0 && is_word(text[at - 1])) || (end < text.size() && is_word(text[end]))) continue;
    const size_t start = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 is 0
    // The type may have a line of its own.
    const std::string_view line = start == at ? std::string_view("type ") : text.substr(start, at - start);
    if (is_definition(text, line, end)) return true;
  }
  return false;
}

std::vector<std::string> defining_files(const fs::path& tree, const std::string& near,
                                        const std::vector<std::string>& names) {
  Search search(tree, names);
  search.look_in(tree / near, false);
  search.look_in(tree, true);
  return search.result();
}

}  // namespace klp::kernel
