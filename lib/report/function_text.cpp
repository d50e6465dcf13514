#include <fmt/format.h>

#include <algorithm>

#include "report/function_report.h"
#include "report/text_layout.h"

namespace klp::report {
namespace {

using diff::CodeLine;
using diff::CodePart;
using diff::CodeRow;
using Kind = CodeRow::Kind;

constexpr size_t kNarrowest = 60;  // columns; below them lines are cut by the terminal

std::string cut_to(const std::string& text, size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 1) + "…";
}

class FunctionWriter {
 public:
  FunctionWriter(const FunctionReport& report, const FunctionTextOptions& options)
      : report_(report), paint_(options.color), column_((std::max(options.width, kNarrowest) - 3) / 2) {}

  std::string write() {
    write_outcome();
    for (const CodePart& part : report_.parts) write_part(part);
    write_origin();
    write_source_diff();
    for (const std::string& note : report_.notes) out_ += wrapped("note: ", note);
    return std::move(out_);
  }

 private:
  void write_outcome() {
    size_t differing = 0;
    for (const CodePart& part : report_.parts) differing += part.differing;
    if (is_same(report_))
      out_ += paint_(Ink::good, "same: ") + "no instruction differs\n";
    else
      out_ += paint_(Ink::warn, "different: ") +
              (differing == 0 ? "no instruction" : counted(differing, "instruction")) + "\n";
    for (const std::string& reason : report_.reasons) out_ += wrapped("  ", reason);
    out_ += fmt::format("  before  {}\n  after   {}\n", report_.before, report_.after);
  }

  void write_part(const CodePart& part) {
    std::string name = paint_(Ink::strong, part.name);
    if (!part.file.empty()) name += fmt::format(" ({})", part.file);
    const std::string sizes = part.old_size == 0   ? fmt::format("new, {} bytes", part.new_size)
                              : part.new_size == 0 ? fmt::format("removed, {} bytes", part.old_size)
                                                   : fmt::format("{} -> {} bytes", part.old_size, part.new_size);
    out_ += fmt::format("\n{}: {}, {}\n", report_.binary, name, sizes);
    last_ = {};
    for (const CodeRow& row : part.rows) write_row(row);
    if (part.cut != 0) out_ += fmt::format("  and {} more\n", counted(part.cut, "row"));
  }

  void write_row(const CodeRow& row) {
    if (row.kind == Kind::skipped) {
      out_ += paint_(Ink::faint, fmt::format("  ... {}", counted(row.skipped, "equal instruction"))) + "\n";
      last_ = {};
      return;
    }
    write_place(row);
    const char mark = row.kind == Kind::changed   ? '|'
                      : row.kind == Kind::removed ? '<'
                      : row.kind == Kind::added   ? '>'
                      : row.kind == Kind::noise   ? '~'
                                                  : ' ';
    const std::string left = side(row.before, row.kind != Kind::added),
                      right = side(row.after, row.kind != Kind::removed);
    if (mark == ' ' || mark == '~') {
      put(padded(left, column_) + " " + mark + " " + right);
      return;
    }
    put(paint_(row.kind == Kind::added ? Ink::plain : Ink::bad, padded(left, column_)) + " " +
        paint_(Ink::strong, std::string(1, mark)) + " " + paint_(Ink::good, right));
  }

  std::string side(const CodeLine& line, bool is_there) const {
    return is_there ? cut_to(fmt::format("{:>7}  {}", fmt::format("+{:#x}", line.offset), line.text), column_) : "";
  }

  /// A line of its own wherever the source line changes.
  void write_place(const CodeRow& row) {
    const std::pair<std::string, std::string> places{place(row.before, report_.old_source),
                                                     place(row.after, report_.new_source)};
    const bool old_is_new = !places.first.empty() && places.first != last_.first;
    const bool new_is_new = !places.second.empty() && places.second != last_.second;
    if (!old_is_new && !new_is_new) return;
    if (!places.first.empty()) last_.first = places.first;
    if (!places.second.empty()) last_.second = places.second;
    put(paint_(Ink::faint, padded(cut_to(old_is_new ? places.first : "", column_), column_) + "   " +
                               cut_to(new_is_new ? places.second : "", column_)));
  }

  static std::string place(const CodeLine& line, const SourceText& source) {
    if (line.file.empty()) return {};
    const auto text = source.find({line.file, line.line});
    // The name of the file is enough for those who read along.
    const std::string file = line.file.substr(line.file.rfind('/') + 1);
    return fmt::format("{}:{}{}{}", file, line.line, text == source.end() ? "" : "  ",
                       text == source.end() ? "" : text->second);
  }

  void write_origin() {
    if (!report_.origin.after.empty())
      out_ += "\n" + wrapped("from  ", origin_text(report_.origin.after, SIZE_MAX, SIZE_MAX));
    if (!report_.origin.before.empty())
      out_ += wrapped("what is gone came from  ", origin_text(report_.origin.before, SIZE_MAX, SIZE_MAX));
  }

  void write_source_diff() {
    if (report_.source_diff.empty()) return;
    out_ += "\n";
    for (size_t at = 0; at < report_.source_diff.size();) {
      const size_t end = std::min(report_.source_diff.find('\n', at), report_.source_diff.size());
      const std::string line = report_.source_diff.substr(at, end - at);
      const bool heading = line.starts_with("--- ") || line.starts_with("+++ ");
      const Ink ink = heading || line.starts_with("@@") ? Ink::strong
                      : line.starts_with('-')           ? Ink::bad
                      : line.starts_with('+')           ? Ink::good
                                                        : Ink::plain;
      out_ += paint_(ink, line) + "\n";
      at = end + 1;
    }
  }

  void put(const std::string& line) { out_ += line.substr(0, line.find_last_not_of(' ') + 1) + "\n"; }

  const FunctionReport& report_;
  Paint paint_;
  size_t column_;
  std::pair<std::string, std::string> last_;  ///< places shown last, of either side
  std::string out_;
};

}  // namespace

bool is_same(const FunctionReport& report) {
  return report.reasons.empty() &&
         std::all_of(report.parts.begin(), report.parts.end(), [](const CodePart& p) { return p.differing == 0; });
}

std::string function_text(const FunctionReport& report, const FunctionTextOptions& options) {
  return FunctionWriter(report, options).write();
}

std::string origin_text(const std::vector<diff::SourceRanges>& origin, size_t most_files, size_t most_ranges) {
  std::string text;
  for (size_t i = 0; i < std::min(origin.size(), most_files); ++i) {
    const auto& lines = origin[i].lines;
    text += fmt::format("{}{}:", text.empty() ? "" : " ", origin[i].file);
    for (size_t n = 0; n < std::min(lines.size(), most_ranges); ++n) {
      text += fmt::format("{}{}", n == 0 ? "" : ",", lines[n].first);
      if (lines[n].second != lines[n].first) text += fmt::format("-{}", lines[n].second);
    }
    if (lines.size() > most_ranges) text += fmt::format(" (and {} more)", lines.size() - most_ranges);
  }
  if (origin.size() > most_files) text += fmt::format(" and {}", counted(origin.size() - most_files, "more file"));
  return text;
}

}  // namespace klp::report
