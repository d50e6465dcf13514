// A function's instructions in two builds, aligned.
#include "diff/side_by_side.h"

#include <catch2/catch.hpp>

#include <random>

#include "diff/edit_script.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::test {
namespace {

using diff::CodeRow;
using Kind = CodeRow::Kind;

constexpr const char* kSource = R"c(
extern int note(const char *text, ...);
extern int limit;
static inline int twice(int x) { return note("twice %d", x); }
int walk(int *p, int n) {
  int sum = 0;
  for (int i = 0; i < n; i++) {
    if (p[i] > limit)
      sum += note("large %d", p[i]);
    else
      sum -= p[i];
  }
  note("done");
  return sum;
}
int other(int x) { return x + 1; }
)c";

struct Build {
  TempDir directory{fs::temp_directory_path(), "klp-side-by-side"};

  fs::path object(const std::string& source) const {
    const fs::path file = directory.path() / "unit.c", result = directory.path() / "unit.o";
    write_file_atomically(file, source);
    run_checked({"gcc", "-O2", "-g", "-ffile-prefix-map=" + directory.path().string() + "/=", "-fno-pic",
                 "-mcmodel=kernel", "-ffunction-sections", "-fcf-protection=none", "-c", "-o", result.string(),
                 file.string()});
    return result;
  }
};

/// One build with all that a view needs.
struct Looked {
  Looked(const std::string& text, const std::string& start) : object(read(text, start)), form(object) {}

  elf::ElfObject read(const std::string& text, const std::string& start) const {
    const fs::path file = build.object(text);
    if (start.empty()) return elf::ElfObject::read(file);
    const fs::path image = file.string() + ".image";
    run_checked({"ld", "-o", image.string(), "-Ttext=" + start, "-e", "walk", "--no-relax", "--defsym=note=walk",
                 "--defsym=limit=walk", file.string()});
    return elf::ElfObject::read(image, elf::ElfObject::Want::symbols_only);
  }

  size_t symbol(const std::string& name) const { return object.symbols_named(name).at(0)->index; }

  Build build;
  elf::ElfObject object;
  diff::ImageForm form;
  elf::Disassembler disassembler{object.machine()};
  elf::SourceLines lines{object};
  diff::CodeSource source{form, disassembler, &lines};
};

std::vector<diff::CodePart> parts_of(const Looked& a, const Looked& b, const std::string& name,
                                     const diff::ViewLimits& limits = {}) {
  return diff::SideBySide(a.source, b.source).parts(a.symbol(name), b.symbol(name), limits);
}

size_t count(const diff::CodePart& part, Kind kind) {
  return static_cast<size_t>(
      std::count_if(part.rows.begin(), part.rows.end(), [&](const CodeRow& row) { return row.kind == kind; }));
}

std::string edited(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// Length of the longest common subsequence, by the table.
size_t longest(const std::vector<unsigned>& a, const std::vector<unsigned>& b) {
  std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1, 0));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j)
      table[i + 1][j + 1] = a[i] == b[j] ? table[i][j] + 1 : std::max(table[i][j + 1], table[i + 1][j]);
  }
  return table[a.size()][b.size()];
}

void check_pairs(const std::vector<unsigned>& a, const std::vector<unsigned>& b,
                 const std::vector<std::pair<size_t, size_t>>& pairs) {
  for (size_t n = 0; n < pairs.size(); ++n) {
    REQUIRE(a.at(pairs[n].first) == b.at(pairs[n].second));
    if (n == 0) continue;
    REQUIRE(pairs[n].first > pairs[n - 1].first);
    REQUIRE(pairs[n].second > pairs[n - 1].second);
  }
}

}  // namespace

TEST_CASE("common elements are as many as possible", "[compare]") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<unsigned> a(random() % 24), b(random() % 24);
    for (auto* list : {&a, &b}) {
      for (unsigned& x : *list) x = random() % (1 + round % 6);
    }
    const auto pairs = diff::common_elements(a, b);
    check_pairs(a, b, pairs);
    REQUIRE(pairs.size() == longest(a, b));
  }
}

TEST_CASE("common elements of long sequences with little in common are found in steps", "[compare]") {
  std::vector<unsigned> a, b;
  for (unsigned i = 0; i < 6000; ++i) {
    a.push_back(i % 10 == 0 ? 1000000 + i : i * 2);
    b.push_back(i % 10 == 0 ? 1000000 + i : i * 2 + 1);
  }
  const auto pairs = diff::common_elements(a, b);
  check_pairs(a, b, pairs);
  CHECK(pairs.size() > 300);
}

TEST_CASE("a function that did not change has only equal rows, wherever it is linked", "[compare]") {
  for (const bool linked : {false, true}) {
    const Looked a(kSource, linked ? "0xffffffff81000000" : "");
    const Looked b(std::string("\n\n") + kSource, linked ? "0xffffffff81400000" : "");
    const auto parts = parts_of(a, b, "walk");
    REQUIRE(parts.size() == 1);
    CHECK(parts[0].differing == 0);
    CHECK(count(parts[0], Kind::equal) == parts[0].rows.size());
    CHECK(parts[0].rows.front().before.file == "unit.c");
    CHECK(parts[0].rows.front().before.line == 5);
    CHECK(parts[0].rows.front().after.line == 7);
  }
}

TEST_CASE("a call that came in is added, and branches over it are equal", "[compare]") {
  const Looked a(kSource, ""), b(edited(kSource, "  note(\"done\");", "  note(\"almost\");\n  note(\"done\");"), "");
  const diff::CodePart part = parts_of(a, b, "walk").at(0);
  CHECK(part.differing > 0);
  CHECK(count(part, Kind::added) >= 2);
  bool call = false;
  for (const CodeRow& row : part.rows) {
    if (row.kind == Kind::added && row.after.text.find("almost") != std::string::npos) {
      call = true;
      CHECK(row.after.file == "unit.c");
      CHECK(row.after.line == 13);
    }
    CHECK((row.kind != Kind::added || row.before.text.empty()));
  }
  CHECK(call);
  const auto origin = diff::origin_of({part});
  REQUIRE(!origin.after.empty());
  CHECK(origin.after[0].file == "unit.c");
  bool names_line = false;
  for (const auto& [first, last] : origin.after[0].lines) names_line |= first <= 13 && 13 <= last;
  CHECK(names_line);
}

TEST_CASE("a changed constant stands beside the old one, with the rows around it", "[compare]") {
  const Looked a(kSource, ""), b(edited(kSource, "x + 1", "x + 2"), "");
  const diff::CodePart all = parts_of(a, b, "other").at(0), few = parts_of(a, b, "other", {0, SIZE_MAX}).at(0);
  CHECK(count(all, Kind::changed) == 1);
  CHECK(all.differing == 1);
  CHECK(count(few, Kind::changed) == 1);
  CHECK(count(few, Kind::equal) == 0);
  size_t skipped = 0;
  for (const CodeRow& row : few.rows) skipped += row.skipped;
  CHECK(skipped == all.rows.size() - 1);
  const diff::CodePart cut = parts_of(a, b, "walk", {SIZE_MAX, 5}).at(0);
  CHECK(cut.rows.size() == 5);
  CHECK(cut.cut == parts_of(a, b, "walk").at(0).rows.size() - 5);
}

TEST_CASE("jumps between a function and its .cold part are equal where their places are", "[compare]") {
  const std::string source =
      "extern int note(const char *text, int x);\n"
      "extern __attribute__((cold)) int rare(int x);\n"
      "int split(int x, int y) {\n"
      "  x = note(\"begin\", x);\n"
      "  if (x > y)\n"
      "    x = rare(x + 7);\n"
      "  return note(\"end\", x) + x;\n"
      "}\n";
  const Looked a(source, ""), b(edited(source, "x > y)", "x + 3 > y * 5)"), "");
  const auto parts = parts_of(a, b, "split");
  REQUIRE(parts.size() == 2);
  CHECK(parts[1].name == "split.cold");
  CHECK(parts[0].differing > 0);
  bool leaves = false, returns = false;
  for (const CodeRow& row : parts[0].rows) leaves |= row.after.text.find("split.cold") != std::string::npos;
  for (const CodeRow& row : parts[1].rows) {
    if (row.after.text.find("jmp split+") == std::string::npos) continue;
    returns = true;
    CHECK(row.before.text != row.after.text);
    CHECK(row.kind == Kind::equal);
  }
  CHECK(leaves);
  CHECK(returns);
}

TEST_CASE("a function that is there once has one side", "[compare]") {
  const Looked a(kSource, ""), b(std::string(kSource) + "int fresh(int x) { return x * 3; }\n", "");
  const diff::SideBySide view(a.source, b.source);
  const auto parts = view.parts(0, b.symbol("fresh"), {});
  REQUIRE(parts.size() == 1);
  CHECK(parts[0].old_size == 0);
  CHECK(count(parts[0], Kind::added) == parts[0].rows.size());
  CHECK(view.parts(0, 0, {}).empty());
}

}  // namespace klp::test
