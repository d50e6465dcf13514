#include "report/page_code.h"

#include <fmt/format.h>

#include <algorithm>

namespace klp::report {
namespace {

using diff::CodeLine;
using diff::CodePart;
using diff::CodeRow;
using Kind = CodeRow::Kind;

constexpr size_t kMostRows = 400;  // of a part

/// Symbols can have any name.
std::string one_field(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = '.';
  }
  return text;
}

/// The end of a path is enough for those who read along.
std::string place_of(const CodeLine& line, const SourceText& source) {
  constexpr size_t kMostText = 120;
  if (line.file.empty()) return {};
  const std::string place = fmt::format("{}:{}", one_field(line.file.substr(line.file.rfind('/') + 1)), line.line);
  const auto text = source.find({line.file, line.line});
  return text == source.end() ? place : fmt::format("{}  {}", place, one_field(text->second.substr(0, kMostText)));
}

class PartEncoder {
 public:
  PartEncoder(const SourceText& old_source, const SourceText& new_source) : old_(old_source), new_(new_source) {}

  std::string encode(const CodePart& part) {
    out_ = fmt::format("p\t{}\t{}\t{}\n", one_field(part.name), part.old_size, part.new_size);
    const size_t shown = std::min(part.rows.size(), kMostRows);
    for (size_t i = 0; i < shown; ++i) add(part.rows[i]);
    size_t left_out = part.cut;
    for (size_t i = shown; i < part.rows.size(); ++i)
      left_out += part.rows[i].kind == Kind::skipped ? part.rows[i].skipped : 1;
    if (left_out != 0) out_ += fmt::format("x\t{}\n", left_out);
    return std::move(out_);
  }

 private:
  void add(const CodeRow& row) {
    if (row.kind == Kind::skipped) {
      out_ += fmt::format("g\t{}\n", row.skipped);
      last_ = {};
      return;
    }
    add_place(row);
    const CodeLine &a = row.before, &b = row.after;
    if (row.kind == Kind::removed || row.kind == Kind::added) {
      const CodeLine& line = row.kind == Kind::removed ? a : b;
      out_ += fmt::format("{}\t{:x}\t{}\n", row.kind == Kind::removed ? 'r' : 'a', line.offset, one_field(line.text));
    } else if (row.kind == Kind::equal && a.text == b.text) {
      out_ += fmt::format("e\t{:x}\t{:x}\t{}\n", a.offset, b.offset, one_field(a.text));
    } else {  // equal branches name offsets, which move
      const char kind = row.kind == Kind::changed ? 'c' : row.kind == Kind::noise ? 'n' : 'e';
      out_ += fmt::format("{}\t{:x}\t{:x}\t{}\t{}\n", kind, a.offset, b.offset, one_field(a.text), one_field(b.text));
    }
  }

  void add_place(const CodeRow& row) {
    std::string old_place = place_of(row.before, old_), new_place = place_of(row.after, new_);
    if (old_place == last_.first) old_place.clear();
    if (new_place == last_.second) new_place.clear();
    if (old_place.empty() && new_place.empty()) return;
    out_ += fmt::format("s\t{}\t{}\n", old_place, new_place);
    if (!old_place.empty()) last_.first = old_place;
    if (!new_place.empty()) last_.second = new_place;
  }

  const SourceText &old_, &new_;
  std::string out_;
  std::pair<std::string, std::string> last_;
};

}  // namespace

std::string page_code(const std::vector<CodePart>& parts, const SourceText& old_source, const SourceText& new_source) {
  std::string result;
  for (const CodePart& part : parts) result += PartEncoder(old_source, new_source).encode(part);
  return result;
}

}  // namespace klp::report
