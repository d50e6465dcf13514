// A patch file is mail, then sections of "diff --git" or "---/+++" headers and hunks, then perhaps a signature. The
// body of a hunk is counted, not guessed: its header says how many lines of each side follow, so a removed line "-- x"
// is never taken for a header. Everything between two files that is not a header is prose.
#include "kernel/patch_set.h"

#include <charconv>
#include <optional>

#include "support/error.h"
#include "support/files.h"

namespace klp::kernel {
namespace {

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::string_view without_cr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// A name in git's quotes ("a/\303\244.c") as bytes; others as they are, up to a tab.
std::string unquoted(std::string_view name) {
  if (!name.starts_with('"')) return std::string(name.substr(0, name.find('\t')));
  std::string result;
  for (size_t i = 1; i < name.size() && name[i] != '"'; ++i) {
    if (name[i] != '\\' || i + 1 >= name.size()) {
      result += name[i];
      continue;
    }
    const char c = name[++i];
    if (c >= '0' && c <= '3' && i + 2 < name.size()) {
      result += static_cast<char>((c - '0') * 64 + (name[i + 1] - '0') * 8 + (name[i + 2] - '0'));
      i += 2;
    } else {
      result += c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
  }
  return result;
}

bool leaves_tree(std::string_view path) {
  if (path.starts_with('/')) return true;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return false;
}

bool parse_number(std::string_view& text, unsigned& number) {
  const auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<size_t>(after - text.data()));
  return error == std::errc();
}

/// "12,3" or "12" (which means one line).
bool parse_range(std::string_view& text, unsigned& start, unsigned& count) {
  if (!parse_number(text, start)) return false;
  count = 1;
  if (!text.starts_with(',')) return true;
  text.remove_prefix(1);
  return parse_number(text, count);
}

class Parser {
 public:
  Parser(const std::string& text, const std::filesystem::path& name) : lines_(split_lines(text)), name_(name) {}

  std::vector<TouchedFile> parse() {
    while (at_ < lines_.size()) {
      const std::string_view line = without_cr(lines_[at_]);
      if (line.starts_with("diff --git ")) {
        begin_file();
        read_git_names(line.substr(11));
      } else if (current_ && read_git_header(line)) {
        // taken
      } else if (line.starts_with("--- ") && next_starts_with("+++ ")) {
        read_plain_header(line);
        continue;
      } else if (line.starts_with("@@ ")) {
        read_hunk();
        continue;
      } else if (line == "GIT binary patch" || line.starts_with("Binary files ")) {
        fail_here("a binary file is changed", "take the binary file out of the patch");
      }
      take_line();
    }
    end_file();
    if (!any_section_)
      fail_here("this is not a patch: it has no hunk", "give a unified diff (git diff, git format-patch, diff -ru)");
    return std::move(files_);
  }

 private:
  [[noreturn]] void fail_here(const std::string& what, const std::string& hint = {}) const {
    const size_t line = any_section_ || current_ || at_ < lines_.size() ? at_ + 1 : 0;
    throw Error(
        line != 0 ? fmt::format("{}:{}: {}", name_.string(), line, what) : fmt::format("{}: {}", name_.string(), what),
        hint);
  }

  bool next_starts_with(std::string_view start) const {
    return at_ + 1 < lines_.size() && lines_[at_ + 1].starts_with(start);
  }

  /// Moves to the next line; the line just left belongs to the current file's text.
  void take_line() {
    if (current_) current_->text.append(lines_[at_]).append("\n");
    ++at_;
  }

  void begin_file() {
    end_file();
    current_.emplace();
    current_->patch = name_;
  }

  void end_file() {
    if (!current_) return;
    any_section_ = true;
    TouchedFile file = std::move(*current_);
    current_.reset();
    if (file.old_path.empty()) file.old_path = file.path;
    if (file.hunks.empty() && file.change == FileChange::modified) return;  // only the mode, or nothing
    files_.push_back(std::move(file));
  }

  std::string in_tree(std::string_view name) const {
    std::string path = unquoted(name);
    if (path.starts_with('/')) fail_here(fmt::format("the path {} leaves the kernel tree", path));
    const size_t slash = path.find('/');
    if (slash == std::string::npos) {
      fail_here(fmt::format("the path {} has no leading component to strip", path),
                "make the patch from above or inside the tree with a/ and b/ prefixes (patch -p1)");
    }
    path.erase(0, path.find_first_not_of('/', slash));
    if (path.empty() || leaves_tree(path)) fail_here(fmt::format("the path {} leaves the kernel tree", unquoted(name)));
    return path;
  }

  /// "a/x b/x": the two halves are equal but for the first component; a rename's names come in lines of their own.
  void read_git_names(std::string_view names) {
    if (names.starts_with('"')) {
      current_->path = in_tree(names);
      return;
    }
    for (size_t space = names.find(' '); space != std::string_view::npos; space = names.find(' ', space + 1)) {
      const std::string_view a = names.substr(0, space), b = names.substr(space + 1);
      const size_t slash_a = a.find('/'), slash_b = b.find('/');
      if (slash_a == std::string_view::npos || slash_b == std::string_view::npos) continue;
      if (a.substr(slash_a) == b.substr(slash_b)) {
        current_->path = in_tree(b);
        return;
      }
    }
  }

  bool read_git_header(std::string_view line) {
    if (!current_->hunks.empty()) return false;
    if (line.starts_with("new file mode ")) {
      current_->change = FileChange::added;
    } else if (line.starts_with("deleted file mode ")) {
      current_->change = FileChange::removed;
    } else if (line.starts_with("rename from ")) {
      current_->change = FileChange::renamed;
      current_->old_path = in_tree(fmt::format("a/{}", unquoted(line.substr(12))));
    } else if (line.starts_with("rename to ")) {
      current_->path = in_tree(fmt::format("b/{}", unquoted(line.substr(10))));
    } else if (line.starts_with("copy to ")) {
      current_->change = FileChange::added;
      current_->path = in_tree(fmt::format("b/{}", unquoted(line.substr(8))));
    } else if (line.starts_with("copy from ")) {
      current_->old_path = in_tree(fmt::format("a/{}", unquoted(line.substr(10))));
    } else {
      return false;
    }
    return true;
  }

  void read_plain_header(std::string_view old_line) {
    const std::string_view new_line = without_cr(lines_[at_ + 1]);
    if (!current_ || !current_->hunks.empty()) begin_file();
    const std::string old_name = unquoted(old_line.substr(4)), new_name = unquoted(new_line.substr(4));
    // diff -N marks a file that is not there by the epoch; GNU patch does the same.
    const bool no_old = old_name == "/dev/null" || old_line.find("\t1970-01-01 ") != std::string_view::npos;
    const bool no_new = new_name == "/dev/null" || new_line.find("\t1970-01-01 ") != std::string_view::npos;
    if (no_old && no_new) fail_here("both sides of the change are /dev/null");
    if (no_old) current_->change = FileChange::added;
    if (no_new) current_->change = FileChange::removed;
    if (current_->path.empty()) current_->path = in_tree(no_new ? old_name : new_name);
    take_line();
    take_line();
  }

  void read_hunk() {
    if (!current_) fail_here("a hunk without a file name before it");
    if (current_->path.empty()) fail_here("a hunk whose file has no name");
    Hunk hunk;
    std::string_view head = lines_[at_].substr(3);
    bool good = head.starts_with('-');
    head.remove_prefix(good ? 1 : 0);
    good = good && parse_range(head, hunk.old_start, hunk.old_count) && head.starts_with(" +");
    head.remove_prefix(good ? 2 : 0);
    good = good && parse_range(head, hunk.new_start, hunk.new_count) && head.starts_with(" @@");
    if (!good) fail_here("malformed hunk header", "the patch may be damaged by a mail program");
    take_line();
    read_hunk_body(hunk);
    current_->hunks.push_back(std::move(hunk));
  }

  void read_hunk_body(Hunk& hunk) {
    unsigned old_left = hunk.old_count, new_left = hunk.new_count;
    while (old_left > 0 || new_left > 0 || (at_ < lines_.size() && lines_[at_].starts_with("\\ "))) {
      if (at_ >= lines_.size()) fail_here("the last hunk is cut off", "the patch file is incomplete");
      const std::string_view line = lines_[at_];
      // Some mail programs strip the single space of an empty context line; GNU patch accepts that too.
      const char mark = line.empty() || line == "\r" ? ' ' : line[0];
      const bool fits = (mark == ' ' && old_left > 0 && new_left > 0) || (mark == '-' && old_left > 0) ||
                        (mark == '+' && new_left > 0) || mark == '\\';
      if (!fits) fail_here("the hunk's lines do not match the counts in its header", "the patch may be damaged");
      if (mark == ' ' || mark == '-') --old_left;
      if (mark == ' ' || mark == '+') --new_left;
      hunk.lines.emplace_back(line);
      if (line.empty() || line == "\r") hunk.lines.back().insert(0, 1, ' ');
      take_line();
    }
  }

  std::vector<std::string_view> lines_;
  std::filesystem::path name_;
  size_t at_ = 0;
  bool any_section_ = false;
  std::optional<TouchedFile> current_;
  std::vector<TouchedFile> files_;
};

}  // namespace

std::vector<TouchedFile> parse_patch(const std::string& text, const std::filesystem::path& name) {
  return Parser(text, name).parse();
}

std::vector<TouchedFile> read_patches(const std::vector<std::filesystem::path>& patches) {
  std::vector<TouchedFile> files;
  for (const std::filesystem::path& patch : patches) {
    for (TouchedFile& file : parse_patch(read_file(patch), patch)) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace klp::kernel
