#include "kernel/definitions.h"

#include <catch2/catch.hpp>

namespace klp::kernel {
namespace {

using Kind = SourceDefinition::Kind;

const Definition& named(const std::vector<Definition>& all, const std::string& name) {
  for (const Definition& d : all) {
    if (d.name == name) return d;
  }
  FAIL("no definition " << name);
  throw 0;
}

TEST_CASE("definitions of a source text", "[definitions]") {
  const auto all = definitions(
      "#include <linux/a.h>\n"                                                             // 1
      "/* int no(void) { } */\n"                                                           // 2
      "#define TWICE(x) \\\n"                                                              // 3
      "\tadd(x, x)\n"                                                                      // 4
      "struct pair {\n\tint a, b;\n} __packed;\n"                                          // 5-7
      "enum { ONE = '{', TWO };\n"                                                         // 8
      "static const char *names[] = {\n\t\"}\", \"two\"\n};\n"                             // 9-11
      "static __always_inline int __must_check\n"                                          // 12
      "__first(struct pair *p) __must_hold(p)\n"                                           // 13
      "{\n#ifdef X\n\tif (p->a) {\n#else\n\tif (p->b) {\n#endif\n\t\treturn 1;\n\t}\n}\n"  // 14-22
      "SYSCALL_DEFINE1(brk, unsigned long, brk)\n{\n\treturn TWICE(brk);\n}\n"             // 23-26
      "module_init(begin)\n"                                                               // 27
      "struct pair *last(void) { return __first(0); }\n"                                   // 28
      "int count;\n"                                                                       // 29
      "EXPORT_SYMBOL(last);\n");                                                           // 30
  const auto at = [&](const char* name) {
    const Definition& d = named(all, name);
    return std::make_tuple(d.kind, d.first, d.last);
  };
  CHECK(at("TWICE") == std::make_tuple(Kind::macro, 3U, 4U));
  CHECK(at("struct pair") == std::make_tuple(Kind::type, 5U, 7U));
  CHECK(at("names") == std::make_tuple(Kind::other, 9U, 11U));
  CHECK(at("__first") == std::make_tuple(Kind::function, 12U, 22U));
  CHECK(at("SYSCALL_DEFINE1(brk)") == std::make_tuple(Kind::function, 23U, 26U));
  CHECK(at("last") == std::make_tuple(Kind::function, 28U, 28U));
  CHECK(at("count") == std::make_tuple(Kind::other, 29U, 29U));
  CHECK(named(all, "TWICE").words == std::vector<std::string>{"add", "x"});
  const auto& words = named(all, "SYSCALL_DEFINE1(brk)").words;
  CHECK(std::count(words.begin(), words.end(), "TWICE") == 1);
}

TEST_CASE("definitions that are easily misread", "[definitions]") {
  const auto all = definitions(
      "static ssize_t (*const write_op[])(struct file *, char *, size_t) = {\n\tone,\n};\n"    // 1-3
      "#ifdef X\nstatic int torn(int a)\n#else\nint torn(int a)\n#endif\n{\n\treturn a;\n}\n"  // 4-11
      "int hidden(void)\n{\n\tBEGIN {\n\tEND\n}\n"                                             // 12-16
      "static DEFINE_MUTEX(lock);\n"                                                           // 17
      "typedef struct { int x; } x_t;\n"                                                       // 18
      "struct __packed tight { int x; };\n"                                                    // 19
      "u64 __value(void) { return 1; }\n"                                                      // 20
      "static const struct ops *const ops = &(struct ops){ .f = torn };\n");                   // 21
  const auto at = [&](const char* name) {
    const Definition& d = named(all, name);
    return std::make_tuple(d.kind, d.first, d.last);
  };
  CHECK(at("write_op") == std::make_tuple(Kind::other, 1U, 3U));
  CHECK(at("torn") == std::make_tuple(Kind::function, 5U, 11U));
  CHECK(at("hidden") == std::make_tuple(Kind::function, 12U, 16U));
  CHECK(at("DEFINE_MUTEX(lock)") == std::make_tuple(Kind::other, 17U, 17U));
  CHECK(at("x_t") == std::make_tuple(Kind::type, 18U, 18U));
  CHECK(at("struct tight") == std::make_tuple(Kind::type, 19U, 19U));
  CHECK(at("__value") == std::make_tuple(Kind::function, 20U, 20U));
  CHECK(at("ops") == std::make_tuple(Kind::other, 21U, 21U));
  CHECK(all.size() == 8);
}

TEST_CASE("a patch changes the definitions whose tokens differ", "[definitions]") {
  const std::string before = "int f(void)\n{\n\treturn 1;\n}\nint g(void)\n{\n\treturn 1;\n}\nint h(void);\n";
  const std::string after =
      "int f(void)\n{\n\tint a = 2;\n\treturn a;\n}\nint g(void)\n{\n\t/* one */\n\treturn 1;\n}\nint k(void) { }\n";
  Hunk hunk{1,
            9,
            1,
            11,
            {" int f(void)", " {", "-\treturn 1;", "+\tint a = 2;", "+\treturn a;", " }", " int g(void)", " {",
             "+\t/* one */", " \treturn 1;", " }", "-int h(void);", "+int k(void) { }"}};
  const SourceChanges changes = changed_definitions("a.c", before, after, {hunk});
  REQUIRE(changes.size() == 4);
  CHECK(changes[0].name == "f");
  CHECK(place_of(changes[0]) == "a.c:3-4");
  CHECK(changes[0].old_first == 1);
  CHECK(changes[0].old_last == 4);
  CHECK(changes[1].name == "g");
  CHECK(changes[1].changed.empty());
  CHECK(changes[1].first == 6);
  CHECK(changes[2].name == "k");
  CHECK(changes[2].old_first == 0);
  CHECK(place_of(changes[2]) == "a.c:11");
  CHECK(changes[3].name == "h");
  CHECK(changes[3].first == 0);
}

TEST_CASE("lines that are only taken out are named by the line behind them", "[definitions]") {
  Hunk hunk{1, 4, 1, 3, {" int f(int x)", " {", "-\tx++;", " }"}};
  const SourceChanges changes =
      changed_definitions("a.c", "int f(int x)\n{\n\tx++;\n}\n", "int f(int x)\n{\n}\n", {hunk});
  REQUIRE(changes.size() == 1);
  CHECK(place_of(changes[0]) == "a.c:3");
}

}  // namespace
}  // namespace klp::kernel
