// Every #include line counts, whatever the conditions around it: too many units is a waste, one too few a missed
// change.
//
// Nearly all units search the same directories. Units are grouped by their list of directories; within a group the
// edges of a file are resolved once, and each unit then walks the group's graph.
#include "kernel/include_scan.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

std::string_view skip_blanks(std::string_view text) {
  const size_t at = text.find_first_not_of(" \t");
  return at == text.npos ? std::string_view() : text.substr(at);
}

std::string_view take_word(std::string_view& text) {
  size_t end = 0;
  while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_')) ++end;
  const std::string_view word = text.substr(0, end);
  text = skip_blanks(text.substr(end));
  return word;
}

/// <x> or "x" at the beginning of `text`.
bool parse_target(std::string_view text, IncludeLine& line) {
  if (text.empty() || (text[0] != '<' && text[0] != '"')) return false;
  const size_t end = text.find(text[0] == '<' ? '>' : '"', 1);
  if (end == text.npos || end == 1) return false;
  line.path = text.substr(1, end - 1);
  line.quoted = text[0] == '"';
  return true;
}

/// What a file says for <trace/define_trace.h>, which includes TRACE_INCLUDE_PATH/TRACE_INCLUDE_FILE.h.
struct TraceNames {
  std::string file, path;
};

void note_definition(std::string_view text, std::vector<IncludeLine>& lines, TraceNames& trace) {
  const std::string_view name = take_word(text);
  const std::string value(text.substr(0, text.find_first_of(" \t\r\n")));
  if (name == "TRACE_INCLUDE_FILE" || (name == "TRACE_SYSTEM" && trace.file.empty())) trace.file = value;
  if (name == "TRACE_INCLUDE_PATH") trace.path = value;
  IncludeLine line;
  if (parse_target(text, line) && (line.path.ends_with(".h") || line.path.ends_with(".c"))) lines.push_back(line);
}

void add_trace_header(const TraceNames& trace, std::vector<IncludeLine>& lines) {
  if (trace.file.empty()) return;
  lines.push_back({trace.file + ".h", true});
  lines.push_back({"trace/events/" + trace.file + ".h", false});
  if (!trace.path.empty()) {
    lines.push_back({trace.path + "/" + trace.file + ".h", true});
    lines.push_back({"trace/" + trace.path + "/" + trace.file + ".h", false});
  }
}

class Scanner {
 public:
  explicit Scanner(const fs::path& source) : root_(fs::canonical(source).string() + "/") {}

  /// The number of an existing regular file below the root, by its real path; -1 when there is none.
  int file(const std::string& path) {
    const auto [known, is_new] = by_path_.try_emplace(path, -1);
    if (!is_new) return known->second;
    const std::string absolute = path[0] == '/' ? path : root_ + path;
    struct stat info {};
    if (stat(absolute.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
    const std::string real = fs::canonical(absolute).string();
    if (real.rfind(root_, 0) != 0) return -1;
    const std::string relative = real.substr(root_.size());
    const auto [number, added] = numbers_.try_emplace(relative, static_cast<int>(names_.size()));
    if (added) names_.push_back(relative);
    return by_path_[path] = number->second;
  }

  const std::vector<IncludeLine>& lines(int number) {
    const size_t index = static_cast<size_t>(number);
    if (lines_.size() < names_.size()) lines_.resize(names_.size()), is_read_.resize(names_.size());
    if (!is_read_[index]) lines_[index] = find_includes(read_file(root_ + names_[index]));
    is_read_[index] = true;
    return lines_[index];
  }

  const std::string& name(int number) const { return names_[static_cast<size_t>(number)]; }
  size_t size() const { return names_.size(); }

 private:
  std::string root_;
  std::unordered_map<std::string, int> by_path_, numbers_;
  std::vector<std::string> names_;
  std::vector<std::vector<IncludeLine>> lines_;
  std::vector<bool> is_read_;
};

/// The include graph as seen with one list of directories.
class Group {
 public:
  Group(Scanner& scanner, std::vector<std::string> directories)
      : scanner_(scanner), directories_(std::move(directories)) {}

  const std::vector<int>& edges(int from) {
    const auto [found, is_new] = edges_.try_emplace(from);
    if (!is_new) return found->second;
    const std::string name = scanner_.name(from);
    const std::string directory = name.substr(0, name.rfind('/') == name.npos ? 0 : name.rfind('/') + 1);
    std::vector<int> result;
    const std::vector<IncludeLine> lines = scanner_.lines(from);
    for (const IncludeLine& line : lines) {
      const int to = resolve(line, directory);
      if (to >= 0) result.push_back(to);
    }
    std::sort(result.begin(), result.end());
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return edges_[from] = std::move(result);
  }

  int resolve(const IncludeLine& line, const std::string& directory) {
    if (line.path[0] == '/') return scanner_.file(line.path);
    if (line.quoted) {
      const int beside = scanner_.file(directory + line.path);
      if (beside >= 0) return beside;
    }
    const auto [found, is_new] = searched_.try_emplace(line.path, -1);
    if (!is_new) return found->second;
    for (const std::string& searched : directories_) {
      const int file = scanner_.file(searched + line.path);
      if (file >= 0) return searched_[line.path] = file;
    }
    return -1;
  }

 private:
  Scanner& scanner_;
  std::vector<std::string> directories_;
  std::unordered_map<int, std::vector<int>> edges_;
  std::unordered_map<std::string, int> searched_;
};

/// All files that are reached from `start`, `start` itself among them.
std::vector<int> reach(Group& group, std::vector<int> start, std::vector<uint32_t>& seen, uint32_t mark) {
  std::vector<int> result;
  while (!start.empty()) {
    const int file = start.back();
    start.pop_back();
    const size_t index = static_cast<size_t>(file);
    if (index >= seen.size()) seen.resize(index + 4096);
    if (seen[index] == mark) continue;
    seen[index] = mark;
    result.push_back(file);
    const std::vector<int>& next = group.edges(file);
    start.insert(start.end(), next.begin(), next.end());
  }
  return result;
}

std::string relative_directory(std::string_view flag) {
  std::string path = fs::path(flag).lexically_normal().string();
  if (path == ".") return {};
  if (!path.empty() && path.back() != '/') path += '/';
  return path;
}

}  // namespace

std::vector<IncludeLine> find_includes(std::string_view text) {
  std::vector<IncludeLine> lines;
  TraceNames trace;
  for (size_t at = text.find('#'); at != text.npos; at = text.find('#', at + 1)) {
    size_t before = at;
    while (before > 0 && (text[before - 1] == ' ' || text[before - 1] == '\t')) --before;
    if (before > 0 && text[before - 1] != '\n' && text[before - 1] != '/') continue;
    std::string_view rest = skip_blanks(text.substr(at + 1, std::min(text.find('\n', at), text.size()) - at - 1));
    const std::string_view word = take_word(rest);
    IncludeLine line;
    if ((word == "include" || word == "include_next") && parse_target(rest, line))
      lines.push_back(line);
    else if (word == "define")
      note_definition(rest, lines, trace);
  }
  add_trace_header(trace, lines);
  return lines;
}

IncludePaths include_paths(std::string_view command) {
  IncludePaths paths;
  const std::string_view first = command.substr(0, command.find(';'));
  std::string_view pending;
  for (size_t at = first.find_first_not_of(' '); at != first.npos;) {
    const size_t end = std::min(first.find(' ', at), first.size());
    const std::string_view word = first.substr(at, end - at);
    at = first.find_first_not_of(' ', end);
    if (pending == "-include")
      paths.forced.push_back(fs::path(word).lexically_normal().string());
    else if (!pending.empty())
      paths.directories.push_back(relative_directory(word));
    const bool separate =
        word == "-include" || word == "-I" || word == "-isystem" || word == "-iquote" || word == "-idirafter";
    if (pending.empty() && !separate && word.substr(0, 2) == "-I")
      paths.directories.push_back(relative_directory(word.substr(2)));
    pending = pending.empty() && separate ? word : std::string_view();
  }
  return paths;
}

std::map<std::string, std::vector<uint32_t>> scan_includes(const fs::path& source,
                                                           const std::map<std::string, Unit>& units) {
  Scanner scanner(source);
  std::map<std::vector<std::string>, Group> groups;
  std::vector<std::vector<uint32_t>> reached_by;
  std::vector<uint32_t> seen;
  uint32_t number = 0;
  for (const auto& [name, unit] : units) {
    if (number % 256 == 0) throw_if_interrupted();
    const IncludePaths paths = include_paths(unit.command);
    Group& group = groups.try_emplace(paths.directories, scanner, paths.directories).first->second;
    const int own = scanner.file(unit.source);
    std::vector<int> start;
    if (own >= 0) start.push_back(own);
    for (const std::string& forced : paths.forced) {
      const int file = group.resolve({forced, true}, {});
      if (file >= 0) start.push_back(file);
    }
    for (const int file : reach(group, start, seen, number + 1)) {
      if (reached_by.size() < scanner.size()) reached_by.resize(scanner.size());
      if (file != own) reached_by[static_cast<size_t>(file)].push_back(number);
    }
    ++number;
  }
  std::map<std::string, std::vector<uint32_t>> result;
  for (size_t i = 0; i < reached_by.size(); ++i) {
    if (!reached_by[i].empty()) result[scanner.name(static_cast<int>(i))] = std::move(reached_by[i]);
  }
  return result;
}

}  // namespace klp::kernel
