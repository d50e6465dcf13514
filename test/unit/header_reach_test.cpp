// Proofs about units that only include a touched header: in memory, without a compiler.
#include <catch2/catch.hpp>

#include "kernel/header_reach.h"
#include "kernel/name_closure.h"

using namespace klp;
using namespace klp::kernel;

namespace {

using Names = std::set<std::string>;

/// Whether `source`, which includes the patched header and `other`, is affected by the change of the header.
bool affects(const std::string& original, const std::string& patched, const std::string& source,
             const std::string& other = "", bool hole = false) {
  const HeaderChange change = compare_headers(original, patched);
  if (!change.unclear.empty()) return true;
  ChangedNames names{change.names, change.macros, {}};
  for (const GrownType& type : change.grown) {
    if (hole) names.filled.insert(type.tag);
    if (hole) names.names.insert(type.members.begin(), type.members.end());
    if (!hole) names.names.insert(type.tag);
  }
  NameClosure closure;
  for (const std::string& header : {patched, other}) {
    const TokenText text(header);
    closure.add(split_items(text, Blanks::count), NameClosure::Role::header);
  }
  const TokenText text(source);
  closure.add(split_items(text, Blanks::count), NameClosure::Role::source);
  bool result = false;
  for (const NameClosure::Affected& affected : closure.affected(names)) result = result || affected.is;
  return result;
}

const std::string kOld = "static inline int f(int x)\n{\n\treturn x;\n}\n";
const std::string kNew = "static inline int f(int x)\n{\n\treturn x + 1;\n}\n";

}  // namespace

TEST_CASE("tokens: longest match, joined lines, comments, strings", "[header_reach]") {
  const TokenText text("a/* c */b >>= 'x\\'' \"s\\\"\" 0x1e+2\\\n3 ## // end\n#if");
  std::vector<std::string> words;
  for (const Token& token : text.tokens()) words.emplace_back(token.text);
  CHECK(words == std::vector<std::string>{"a", "b", ">>=", "'x\\''", "\"s\\\"\"", "0x1e+23", "##", "#", "if"});
  CHECK(text.tokens()[1].space_before);
  CHECK(text.tokens()[7].starts_line);
}

TEST_CASE("a header compared with itself, or with other comments, names nothing", "[header_reach]") {
  const std::string header =
      "#ifndef H\n#define H\n#include <x.h>\nstruct s {\n\tint a;\n};\nEXPORT(x);\n" + kOld + "#endif\n";
  CHECK(compare_headers(header, header).empty());
  CHECK(compare_headers(header, "/* new */\n\n" + header + "// more\n").empty());
}

TEST_CASE("what a change names", "[header_reach]") {
  CHECK(compare_headers(kOld, kNew).names == Names{"f"});
  const HeaderChange macro = compare_headers("#define A 1\n#define B 2\n", "#define A 1\n#define B 3\n");
  CHECK(macro.names == Names{"B"});
  CHECK(macro.macros == Names{"B"});
  CHECK(compare_headers("enum e { A, B, MAX };\n", "enum e { A, B, C, MAX };\n").names == Names{"C", "MAX"});
  CHECK(compare_headers("enum e { A };\n", "enum e { A, B = -1 };\n").names == Names{"A", "B", "e"});
  CHECK(compare_headers("int g(void);\n", "int g(void) __must_check;\n").names == Names{"g"});
  CHECK(compare_headers("u64 __g(int);\n", "u64 __g(long);\n").names == Names{"__g"});
  CHECK(compare_headers("extern const u64 __v;\n", "extern u64 __v;\n").names == Names{"__v"});
  CHECK(compare_headers("extern u64 v __attr;\n", "extern u64 v __other;\n").names == Names{"__attr", "__other", "v"});
  CHECK(compare_headers("extern __u64 v __attr(2);\n", "extern __u64 v;\n").names == Names{"__attr", "v"});
  CHECK(compare_headers("extern __wsum v __attr(2);\n", "extern __wsum v;\n").names == Names{"__attr", "v"});
  CHECK(compare_headers("typedef u32 __bitwise __wsum;\n", "typedef u64 __bitwise __wsum;\n").names == Names{"__wsum"});
  CHECK(compare_headers("typedef u64 __t;\n", "typedef u32 __t;\n").names == Names{"__t"});
  CHECK(compare_headers("typedef int (*fn_t)(int);\n", "typedef int (*fn_t)(long);\n").names == Names{"fn_t"});
  CHECK_FALSE(compare_headers("#include <a.h>\n", "#include <b.h>\n").unclear.empty());
  CHECK_FALSE(compare_headers("int x = 1;\n", "int x = 2;\n").unclear.empty());
  CHECK(compare_headers(kOld, "#ifdef X\n" + kOld + "#endif\n").names == Names{"f"});
  CHECK(compare_headers(kOld, "int y(void);\n").removed == Names{"f"});
  CHECK(compare_headers(kOld, kNew).removed.empty());
  CHECK(compare_headers(kOld, "int f(int x);\n").removed.empty());
  SECTION("members") {
    const HeaderChange grown =
        compare_headers("struct s { u8 a : 1, b : 1; };", "struct s { u8 a : 1, n : 1, b : 1; };");
    REQUIRE(grown.grown.size() == 1);
    CHECK(grown.grown[0].members == Names{"n"});
    CHECK(grown.names.empty());
    CHECK(compare_headers("struct s { int a; };", "struct s { long a; };").names == Names{"s"});
    CHECK(compare_headers("struct s { int a; };", "struct s { int a; int b __aligned(8); };").names == Names{"s"});
  }
}

TEST_CASE("names lead to units through macros, inline functions and types", "[header_reach]") {
  CHECK_FALSE(affects(kOld, kNew, "int main(void) { return g(1); }", "#define G(x) h(x)\n"));
  CHECK(affects(kOld, kNew, "int main(void) { return f(1); }"));
  CHECK(affects(kOld, kNew, "int main(void) { return G(1); }", "#define G(x) ((x) + f(x))\n"));
  CHECK(affects(kOld, kNew, "int main(void) { return h(); }", "static inline int h(void) { return f(2); }\n"));
  CHECK(affects(kOld, kNew, "int x;", "int h(void) { return f(2); }\n"));  // a header that makes code
  CHECK(affects("#define N 1\n", "#define N 2\n", "int x = sizeof(struct t);", "struct t { int a[N]; };\n"));
  CHECK(affects("#define N 1\n", "#define N 2\n", "int x = get()->y;",
                "struct t { int a[N]; };\nstruct t *get(void);\n"));
  CHECK(affects("#define N 1\n", "#define N 2\n", "int x;", "#if N > 1\nint y;\n#endif\n"));
  CHECK_FALSE(affects(kOld, kNew, "int x;", "#ifdef f\nint y;\n#endif\n"));  // no macro
  CHECK(affects(kOld, kNew, "int x;", "static __used int h = f(2);\n"));
  CHECK(affects(kOld, kNew, "int x;", "EXPORT(y)\nstatic inline int h(void) { return f(2); }\n"));
}

TEST_CASE("names that ## makes", "[header_reach]") {
  const std::string before = "static inline int get_one(void) { return 1; }\n";
  const std::string after = "static inline int get_one(void) { return 2; }\n";
  CHECK(affects(before, after, "int x = GET(one);", "#define GET(n) get_##n()\n"));
  CHECK_FALSE(affects(before, after, "int x = GET(two);", "#define GET(n) get_##n()\n"));
  CHECK(affects(before, after, "int x = OUTER(one);", "#define GET(n) get_##n()\n#define OUTER(m) GET(m)\n"));
  CHECK(affects(before, after, "int x = JOIN(get_, one)();", "#define JOIN(a, b) a ## b\n"));
  CHECK_FALSE(affects(before, after, "int x = JOIN(get_, two)(); int one;", "#define JOIN(a, b) a ## b\n"));
}

TEST_CASE("a filled hole affects who names the member or holds the type by value", "[header_reach]") {
  const std::string before = "struct s { char a; long b; };\n", after = "struct s { char a; char n; long b; };\n";
  const auto filled = [&](const std::string& source, const std::string& other = "") {
    return affects(before, after, source, other, true);
  };
  CHECK_FALSE(filled("long g(struct s *p) { return p->b; }"));
  CHECK(affects(before, after, "long g(struct s *p) { return p->b; }"));
  CHECK(filled("long g(struct s *p) { return p->n; }"));
  CHECK(filled("void g(struct s *p) { struct s copy = *p; use(&copy); }"));
  CHECK(filled("void g(struct s *p) { *p = (struct s){ 1, 2 }; }"));
  CHECK(filled("struct outer o = { { 1, 2 } };", "struct outer { struct s inner; };\n"));
  CHECK_FALSE(filled("void g(struct outer *o) { o->x = 1; }", "struct outer { struct s inner; int x; };\n"));
  CHECK_FALSE(filled("void *p = container_of(q, struct s, b);",
                     "#define container_of(p, t, m) ((t *)((p) - offsetof(t, m)))\n"));
  CHECK(filled("DECLARE(struct s, x);", "#define DECLARE(type, name) type name\n"));
  SECTION("an object of an expression's type") {
    CHECK(filled("void g(void) { typeof(*get()) copy = *get(); use(&copy); }", "struct s *get(void);\n"));
    CHECK(filled("void g(void) { __auto_type copy = *get(); use(&copy); }", "struct s *get(void);\n"));
    CHECK(filled("void g(void) { h(); }", "static inline void h(void) { typeof(*p->s) copy = { 1 }; use(&copy); }\n"));
    CHECK(filled("void g(void) { typeof(one) copy = { 1 }; use(&copy); }", "extern struct s one;\n"));
    CHECK(
        filled("void g(void) { typeof(o) copy = { 1 }; }", "struct outer { struct s in; };\nextern struct outer o;\n"));
    CHECK_FALSE(filled("void g(struct s *p) { typeof(p) q = p; use(q); }"));
    CHECK_FALSE(filled("void g(void) { typeof(*get()) *p = get(); typeof(int) x; }", "struct s *get(void);\n"));
    CHECK_FALSE(filled("void g(void) { h(2); }", "#define h(x) ({ typeof(x) y = (x); y; })\n"));
  }
}

TEST_CASE("preprocessed texts are the same but for what nothing names", "[header_reach]") {
  std::string why;
  const auto same = [&](const std::string& a, const std::string& b) {
    return same_tokens(
        a, b, [](const GrownType&) { return false; }, why);
  };
  CHECK(same(kOld + "int g(void) { return 1; }", kNew + "int g(void) { return 1; }"));
  CHECK_FALSE(same(kOld + "int g(void) { return f(1); }", kNew + "int g(void) { return f(1); }"));
  CHECK_FALSE(same("int g(void) { return 1; }", "int g(void) { return 2; }"));
  CHECK(same("static void *__UNIQUE_ID_x7;", "static void *__UNIQUE_ID_x8;"));
}

TEST_CASE("a token proof sees who names what changed, wherever that stands", "[header_reach]") {
  std::string why;
  const auto same = [&](const std::string& a, const std::string& b) {
    return same_tokens(
        a, b, [](const GrownType&) { return false; }, why);
  };
  const std::string before = "struct other {\n\tint f;\n};\nextern int g(int);\n";
  const std::string behind = "static inline int h(int x)\n{\n\treturn g(x);\n}\nint k(void)\n{\n\treturn h(1);\n}\n";
  CHECK(same(before + kOld + behind, before + kNew + behind));
  for (const char* user : {"int u(void)\n{\n\treturn f(2);\n}\n", "int u = 1 + f(2);\n",
                           "static inline int w(void)\n{\n\treturn f(2);\n}\nint u(void)\n{\n\treturn w();\n}\n"}) {
    INFO(user);
    CHECK_FALSE(same(before + kOld + behind + user, before + kNew + behind + user));
    CHECK_FALSE(same(user + before + kOld + behind, user + before + kNew + behind));
    CHECK_FALSE(same(before + user + behind, before + kNew + user + behind));  // declared only now
    CHECK_FALSE(same(before + kOld + behind, before + kNew + user + behind));
    CHECK_FALSE(same(before + behind, before + user + behind));
    CHECK_FALSE(same(before + user + behind, before + behind));
  }
  SECTION("added or gone, at the beginning, in between and at the end") {
    CHECK(same(before + behind, before + kNew + behind));
    CHECK(same(before + kNew + behind, before + behind));
    CHECK(same(before + behind, kNew + before + behind));
    CHECK(same(before + behind, before + behind + kNew));
    CHECK(same(before + behind + kNew, before + behind));
    CHECK(same(before + kOld + behind, before + behind + kNew));  // moved, and nobody names it
  }
  SECTION("what the difference opens goes on behind it") {
    CHECK_FALSE(same(before + kOld + behind, before + kOld + "/*\n" + behind));
    CHECK_FALSE(same(before + kOld + behind, before + kOld + "struct {\n" + behind));
    CHECK_FALSE(same(before + kOld + behind, before + kOld + "int x = (\n" + behind));
    CHECK_FALSE(same(before + "int x;\n" + behind, before + "int x\n" + behind));
  }
  SECTION("numbers that __COUNTER__ gave") {
    const std::string one = "static int __UNIQUE_ID_x", two = " = 1;\n", use = "int u(void)\n{\n\treturn __UNIQUE_ID_x";
    CHECK(same(one + "7" + two + use + "7;\n}\n", one + "8" + two + use + "8;\n}\n"));
    CHECK_FALSE(same(one + "7 = 1;\n" + use + "7;\n}\n", one + "7 = 1;\n" + one + "8 = 2;\n" + use + "8;\n}\n"));
  }
  SECTION("a text with macros is looked at as a whole") {
    const std::string macro = "#define GET(n) n##_()\n", old_one = "static inline int f_(void)\n{\n\treturn 1;\n}\n",
                      new_one = "static inline int f_(void)\n{\n\treturn 2;\n}\n";
    CHECK_FALSE(same(macro + old_one + "int u = GET(f);\n", macro + new_one + "int u = GET(f);\n"));
  }
}

TEST_CASE("a token proof sees copies of a type that a new member fills", "[header_reach]") {
  std::string why;
  const auto same = [&](const std::string& behind) {
    const std::string get = "struct s *get(void);\n";
    return same_tokens(
        "struct s {\n\tchar a;\n\tlong b;\n};\n" + get + behind,
        "struct s {\n\tchar a;\n\tchar n;\n\tlong b;\n};\n" + get + behind, [](const GrownType&) { return true; }, why);
  };
  CHECK(same("long g(struct s *p)\n{\n\treturn p->b;\n}\n"));
  CHECK_FALSE(same("long g(struct s *p)\n{\n\treturn p->n;\n}\n"));
  CHECK_FALSE(same("void g(struct s *p)\n{\n\tstruct s copy = *p;\n}\n"));
  CHECK_FALSE(same("void g(void)\n{\n\ttypeof(*get()) copy = *get();\n}\n"));
  CHECK_FALSE(same("struct outer {\n\tstruct s inner;\n};\nvoid g(void)\n{\n\tstruct outer o = { { 1 } };\n}\n"));
}

TEST_CASE("a source that names a changed name itself is told from one that is led to it", "[header_reach]") {
  NameClosure closure;
  const auto add = [&](const char* text, NameClosure::Role role) {
    const TokenText tokens{std::string(text)};
    return closure.add(split_items(tokens, Blanks::count), role);
  };
  add("#define G(x) f(x)\n", NameClosure::Role::header);
  const size_t direct = add("int a = f(1);\n", NameClosure::Role::source);
  const size_t led = add("int a = G(1);\n", NameClosure::Role::source);
  const size_t neither = add("int a;\n", NameClosure::Role::source);
  const auto affected = closure.affected({{"f"}, {}, {}});
  CHECK(affected[direct].directly);
  CHECK(affected[led].is);
  CHECK_FALSE(affected[led].directly);
  CHECK_FALSE(affected[neither].is);
}

TEST_CASE("differences of sequences", "[header_reach]") {
  const SequenceDifference d = compare_sequences({1, 2, 3, 4, 5}, {1, 3, 9, 4, 5, 6});
  CHECK(d.only_a == std::vector<size_t>{1});
  CHECK(d.only_b == std::vector<size_t>{2, 5});
}
