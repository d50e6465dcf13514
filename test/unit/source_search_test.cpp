#include "kernel/source_search.h"

#include <catch2/catch.hpp>

using namespace klp;

TEST_CASE("a definition is told from a declaration, a use and a comment", "[source-search]") {
  struct Case {
    const char* text;
    bool defines;
  };
  const Case cases[] = {
      {"int f(int a)\n{\n", true},
      {"static inline int\nf(int a, int (*b)(void))\n{\n", true},
      {"void __init f(void) __acquires(lock)\n{\n", true},
      {"int f(int a);\n", false},
      {"extern int f(int a);\n", false},
      {"int g(void)\n{\n\treturn f(1);\n}\n", false},
      {"int g(int x) { return f(x); }\n", false},
      {"/* f */\n", false},
      {"struct s *f;\n", true},
      {"const struct ops f = {\n", true},
      {"int f[3];\n", true},
      {"extern int f;\n", false},
      {"EXPORT_SYMBOL(f);\n", false},
      {"int ff(void)\n{\n", false},
      {"f", false},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK(kernel::defines(c.text, "f") == c.defines);
  }
}

TEST_CASE("the near directory comes first, documentation not at all", "[source-search]") {
  const TempDir tree(fs::temp_directory_path(), "klp-search");
  const auto write = [&](const char* path, const char* text) {
    fs::create_directories((tree.path() / path).parent_path());
    write_file_atomically(tree.path() / path, text);
  };
  write("a/x.c", "int f(void)\n{\n}\n");
  write("b/y.c", "int f(void)\n{\n}\nint deep(void);\n");
  write("b/c/z.c", "int deep(void)\n{\n}\n");
  write("tools/t.c", "int tool(void)\n{\n}\n");
  CHECK(kernel::defining_files(tree.path(), "b", {"f", "deep", "tool", "none"}) ==
        std::vector<std::string>{"b/y.c", "b/c/z.c", "", ""});
}
