// #line marks: where they are put, where they must not be, and that the compiler then counts as in the original.
#include <catch2/catch.hpp>

#include "kernel/c_text.h"
#include "kernel/line_marks.h"
#include "support/files.h"
#include "support/run.h"

using namespace klp;
using namespace klp::kernel;

namespace {

std::vector<Hunk> hunks_between(const TempDir& work, const std::string& before, const std::string& after) {
  write_file_atomically(work.path() / "before.c", before);
  write_file_atomically(work.path() / "after.c", after);
  const RunResult result = run({"diff", "-U3", "--label", "a/t.c", "--label", "b/t.c",
                                (work.path() / "before.c").string(), (work.path() / "after.c").string()});
  return parse_patch(result.output, "diff").at(0).hunks;
}

std::string marked(const std::string& before, const std::string& after) {
  const TempDir work(fs::temp_directory_path(), "line-marks-test");
  return add_line_marks(after, hunks_between(work, before, after));
}

/// What __LINE__ gives where the source says `LINES(...)`: the preprocessed lines that hold "at".
std::string preprocessed(const std::string& source) {
  RunOptions options;
  options.input = source;
  const std::string all = run_checked({"gcc", "-E", "-P", "-x", "c", "-"}, options);
  std::string result;
  for (size_t at = all.find("at"); at != std::string::npos; at = all.find("at", at + 1))
    result += all.substr(at, all.find(';', at) - at) + " ";
  return result;
}

}  // namespace

TEST_CASE("lines below a hunk keep their number", "[line_marks]") {
  CHECK(marked("a;\nb;\nc;\n", "a;\nnew;\nnew2;\nb;\nc;\n") == "a;\nnew;\nnew2;\n#line 2\nb;\nc;\n");
  CHECK(marked("a;\nb;\nc;\nd;\n", "a;\nd;\n") == "a;\n#line 4\nd;\n");
  CHECK(marked("a;\nb;\n", "x;\nb;\n") == "x;\nb;\n");  // nothing moved
}

TEST_CASE("no mark where a directive may not stand", "[line_marks]") {
  SECTION("a macro's definition") {
    CHECK(marked("#define M(x) \\\n  a(x); \\\n  b(x)\nint z;\n",
                 "#define M(x) \\\n  n(x); \\\n  a(x); \\\n  b(x)\nint z;\n") ==
          "#define M(x) \\\n  n(x); \\\n  a(x); \\\n  b(x)\n#line 4\nint z;\n");
  }
  SECTION("arguments") {
    CHECK(marked("f(1,\n  2,\n  3);\ng();\n", "f(1,\n  9,\n  2,\n  3);\ng();\n") ==
          "f(1,\n  9,\n  2,\n  3);\n#line 4\ng();\n");
  }
  SECTION("a comment") {
    CHECK(marked("/* a\n b\n c */\nint x;\n", "/* a\n n\n b\n c */\nint x;\n") ==
          "/* a\n n\n b\n c */\n#line 4\nint x;\n");
  }
  SECTION("parentheses in strings, characters and comments do not count") {
    CHECK(marked("p(\"(\"); /* ( */ c = '('; // (\nx;\n", "n;\np(\"(\"); /* ( */ c = '('; // (\nx;\n")
              .starts_with("n;\n#line 1\np("));
    CHECK(marked("a;\nx;\n", "a;\np(\"(\\\"(\"); // (\nx;\n").ends_with("#line 2\nx;\n"));
  }
}

TEST_CASE("both branches of an #if may open the same parenthesis", "[line_marks]") {
  const std::string before = "#ifdef A\nf(1,\n#else\nf(2,\n#endif\n  3);\nint x;\n";
  const std::string later = "#ifdef A\nf(1,\n#else\nf(2,\n#endif\n  3);\nint n;\nint x;\n";
  CHECK(marked(before, later).ends_with("int n;\n#line 7\nint x;\n"));
}

TEST_CASE("a mark in a branch that is not compiled does not spoil the count after it", "[line_marks]") {
  const std::string before = "#if 0\nint a;\nint b;\n#endif\nat __LINE__;\n";
  const std::string after = "#if 0\nint a;\nint n;\nint b;\n#endif\nat __LINE__;\n";
  CHECK(preprocessed(marked(before, after)) == preprocessed(before));
  CHECK(preprocessed(after) != preprocessed(before));
}

TEST_CASE("the compiler counts as in the original", "[line_marks]") {
  const std::string before = "#define W at __LINE__\nW;\nint f(int a,\n  int b);\nW;\n/* c\n */ W;\nW;\n";
  const std::string after =
      "#define W at __LINE__\nint n;\nW;\nint f(int a, int c,\n  int d,\n  int b);\nW;\n/* c\n d\n */ W;\nW;\n";
  CHECK(preprocessed(marked(before, after)) ==
        "at 2 at 5 at 8 at 8 ");  // the line that a comment begins cannot be marked
  CHECK(preprocessed(before) == "at 2 at 5 at 7 at 8 ");
}

TEST_CASE("text without comments is equal when no compiler sees a difference", "[line_marks]") {
  CHECK(without_comments("int a; /* x */\n\n// y\n  int  b;\n") == without_comments("int a;\nint b; // z\n"));
  CHECK(without_comments("p(\"/* no */\");\n") != without_comments("p(\"/* yes */\");\n"));
  CHECK(without_comments("int a;\n") != without_comments("int b;\n"));
  CHECK(without_comments("a/**/b\n") == without_comments("a b\n"));
}
