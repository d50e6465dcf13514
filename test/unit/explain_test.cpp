// Explanations on compiled sources: a header and a unit before and after a patch, as the workspace makes them.
#include "diff/explain.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/engine.h"
#include "kernel/definitions.h"
#include "kernel/line_marks.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::test {
namespace {

constexpr const char* kHeader = R"c(#define LIMIT 16
#define BOUND (LIMIT + 1)
struct box { int a, b; };
struct lid { int c; };
struct shelf { struct lid lid; struct box box; int d; };
int printk(const char *text, ...);
static inline int ok(int x)
{
	return x > 3;
}
static inline int fine(int x)
{
	return ok(x) && x != 77;
}
)c";

constexpr const char* kUnit = R"c(#include "unit.h"

int direct(int x)
{
	return printk("direct %d", x);
}

static __attribute__((noinline)) int helper(int x)
{
	return printk("helper %d", x);
}

int user(int x)
{
	/* a
	   few lines */
	return fine(x) ? printk("user") : helper(x);
}

int bounded(int x)
{
	return x < BOUND;
}

int last(struct box *box)
{
	return box->b;
}

int shelved(struct shelf *shelf)
{
	return shelf->d;
}
)c";

struct Patched {
  std::string header = kHeader, unit = kUnit, original_unit = kUnit;

  static void edit(std::string& text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }

  diff::UnitResult run(bool with_source = true) const {
    const TempDir work(fs::temp_directory_path(), "explain-test");
    fs::create_directories(work.path() / "a");
    fs::create_directories(work.path() / "b");
    fs::create_directories(work.path() / "m");
    write_file_atomically(work.path() / "a/unit.h", kHeader);
    write_file_atomically(work.path() / "a/unit.c", original_unit);
    write_file_atomically(work.path() / "b/unit.h", header);
    write_file_atomically(work.path() / "b/unit.c", unit);
    RunOptions options;
    options.directory = work.path();
    const auto touched = kernel::parse_patch(klp::run({"diff", "-ru", "a", "b"}, options).output, "test.patch");
    for (const char* file : {"unit.h", "unit.c"}) {
      std::string text = read_file(work.path() / "b" / file);
      for (const auto& t : touched) {
        if (t.path == file) text = kernel::add_line_marks(text, t.hunks);
      }
      write_file_atomically(work.path() / "m" / file, text);
    }
    const elf::ElfObject original = compiled(work.path() / "a"), patched = compiled(work.path() / "m");
    const elf::SymbolIndex shipped(original);
    elf::Exports exports;
    for (const char* name : {"printk", "__fentry__"}) exports[name] = {1, "vmlinux", false, ""};
    SourceChanges source = kernel::changed_definitions(work.path() / "a", work.path() / "b", touched);
    source = kernel::with_definitions_of("unit.c", work.path() / "a", std::move(source));
    diff::UnitInput input;
    input.original = &original;
    input.patched = &patched;
    input.unit = "unit.o";
    input.shipped = input.vmlinux = &shipped;
    input.exports = &exports;
    input.source = with_source ? &source : nullptr;
    return diff::analyse(input);
  }

  static elf::ElfObject compiled(const fs::path& directory) {
    RunOptions options;
    options.directory = directory;
    run_checked(
        {"gcc", "-O2", "-g", "-pg", "-mfentry", "-fno-pic", "-mcmodel=kernel", "-fno-asynchronous-unwind-tables",
         "-ffunction-sections", "-fdata-sections", "-fcf-protection=none", "-c", "unit.c", "-o", "unit.o"},
        options);
    return elf::ElfObject::read(directory / "unit.o");
  }
};

std::vector<std::string> because(const diff::UnitResult& result, const std::string& name) {
  for (const diff::FunctionReport& f : result.functions) {
    if (f.name == name) return f.because;
  }
  FAIL("not in the module: " << name);
  return {};
}

TEST_CASE("a function whose own lines change is explained by them", "[explain]") {
  Patched p;
  p.edit(p.unit, "int direct(int x)\n{\n", "int direct(int x)\n{\n\tx++;\n\tx *= 3;\n");
  const auto why = because(p.run(), "direct");
  CHECK(why.front() == "unit.c:5-6 changes it");
  CHECK(why.size() == 2);  // and where the code differs
  CHECK(because(p.run(false), "direct").size() == 1);
}

TEST_CASE("an inlined function is named with the line where it is called", "[explain]") {
  Patched p;
  p.edit(p.header, "x != 77", "x != 78");
  p.edit(p.unit, "#include", "/* two\n lines */\n#include");
  const auto why = because(p.run(), "user");
  CHECK(why.front() == "unit.h:13 changes fine(), inlined here (line 19)");
}

TEST_CASE("an inlined function of which DWARF shows nothing is found by the text", "[explain]") {
  Patched p;
  p.edit(p.header, "x > 3", "x > 4");  // folded into fine()'s comparison
  CHECK(because(p.run(), "user").front() == "unit.h:9 changes ok(), used in fine(), which is inlined here");
}

TEST_CASE("a macro is named with the one it is used through", "[explain]") {
  Patched p;
  p.edit(p.header, "LIMIT 16", "LIMIT 64");
  CHECK(because(p.run(), "bounded").front() == "unit.h:1 changes the macro LIMIT, used here through BOUND");
}

TEST_CASE("a type is named when nothing nearer is known", "[explain]") {
  Patched p;
  p.edit(p.header, "int a, b;", "long a, b;");
  CHECK(because(p.run(), "last").front() == "unit.h:3 changes struct box, used here");
}

TEST_CASE("a type that an embedded one moves is explained by that one, not by a changed type that moves nothing",
          "[explain]") {
  Patched p;
  p.edit(p.header, "int a, b;", "long a, b;");
  p.edit(p.header, "int c;", "union { int c; int e; };");
  const diff::UnitResult result = p.run();
  const auto why = because(result, "shelved");
  CHECK(why.front() == "unit.h:3 changes struct box, in struct shelf, used here");
  CHECK(std::none_of(why.begin(), why.end(), [](const std::string& w) { return w.find("unit.h:4") != w.npos; }));
  const auto& findings = result.findings.list();
  const auto layout =
      std::find_if(findings.begin(), findings.end(), [](const Finding& f) { return f.symbol == "box"; });
  REQUIRE(layout != findings.end());
  CHECK(layout->code == "changed-layout");
  CHECK(layout->place == "unit.h:3");
}

TEST_CASE("a new function is explained by who calls it, and that one by its lines", "[explain]") {
  Patched p;
  p.edit(p.unit, "static __attribute__((noinline)) int helper",
         "static __attribute__((noinline)) int deep(int x)\n{\n\treturn printk(\"deep %d\", x);\n}\n"
         "static __attribute__((noinline)) int fresh(int x)\n{\n\treturn deep(x + 1) + 1;\n}\n"
         "static __attribute__((noinline)) int helper");
  p.edit(p.unit, "return fine(x)", "return fresh(x) + fine(x)");
  const diff::UnitResult result = p.run();
  CHECK(because(result, "fresh").front() == "called by user, which unit.c:25 changes");
  const auto deep = because(result, "deep");
  CHECK(deep.front() == "called by fresh, which is carried for user, which unit.c:25 changes");
  REQUIRE(deep.size() >= 3);
  CHECK(deep[1] == "fresh: called by user");
  CHECK(deep[2] == "user: unit.c:25 changes it");
}

TEST_CASE("a refusal says where its symbol changes", "[explain]") {
  Patched p;
  p.edit(p.unit, "int last(", "int table[] = { 1, 2 };\nint last(");
  p.original_unit = p.unit;
  p.edit(p.unit, "1, 2", "1, 3");
  const diff::UnitResult result = p.run();
  REQUIRE(result.findings.list().size() == 1);
  CHECK(result.findings.list()[0].code == "changed-data");
  CHECK(result.findings.list()[0].place == "unit.c:25");
  REQUIRE(result.data.size() == 1);
  CHECK(result.data[0].because.front() == "unit.c:25 changes it");
}

TEST_CASE("a refusal that follows from a changed type says so", "[explain]") {
  Patched p;
  p.edit(p.unit, "int last(", "__attribute__((section(\".init.text\"))) int last(");
  p.original_unit = p.unit;
  p.edit(p.header, "int a, b;", "long a, b;");
  const auto list = p.run().findings.list();
  const auto init = std::find_if(list.begin(), list.end(), [](const Finding& f) { return f.code == "init-code"; });
  REQUIRE(init != list.end());
  CHECK(init->message.ends_with("; unit.h:3 changes struct box, used here"));
  CHECK(init->hint == "this follows from the changed type: see to that first");
}

TEST_CASE("a refusal says in which line the missing symbol is used", "[explain]") {
  Patched p;
  p.edit(p.unit, "int direct(int x)\n{\n", "int brand_new(int);\nint direct(int x)\n{\n\tx++;\n\tx = brand_new(x);\n");
  const diff::UnitResult result = p.run();
  REQUIRE(result.findings.list().size() == 1);
  CHECK(result.findings.list()[0].code == "missing-symbol");
  CHECK(result.findings.list()[0].place == "unit.c:7");
}

TEST_CASE("a size that follows from a changed type says so", "[explain]") {
  Patched p;
  p.edit(p.unit, "int last(", "struct ops { long pad, size; } ops = { 1, sizeof(struct box) };\nint last(");
  p.original_unit = p.unit;
  p.edit(p.header, "int a, b;", "long a, b;");
  const auto list = p.run().findings.list();
  const auto data = std::find_if(list.begin(), list.end(), [](const Finding& f) { return f.code == "changed-data"; });
  REQUIRE(data != list.end());
  CHECK(data->message.ends_with("(.size: 16 instead of 8, the size of struct box)"));
  CHECK(data->hint == "this follows from the changed type: see to that first");
}

TEST_CASE("a changed variable is told with its member and both values", "[explain]") {
  Patched p;
  p.edit(p.unit, "int last(", "struct shelf shelf = { { 1 }, { 2, 3 }, 4 };\nint last(");
  p.original_unit = p.unit;
  SECTION("a number") {
    p.edit(p.unit, "{ 2, 3 }", "{ 2, 7 }");
    CHECK(p.run().findings.list().at(0).message.ends_with("content differs at +0x8 (.box.b: 7 instead of 3)"));
  }
  SECTION("an address that was not there") {
    p.edit(p.unit, "struct shelf shelf", "struct ops { long pad; int (*f)(int); } ops = { 1 };\nstruct shelf shelf");
    p.original_unit = p.unit;
    p.edit(p.unit, "ops = { 1 }", "ops = { 1, user }");
    CHECK(p.run().findings.list().at(0).message.ends_with("user instead of nothing at +0x8 (.f)"));
  }
}

TEST_CASE("what changes in the source and is not carried has a reason", "[explain]") {
  Patched p;
  p.edit(p.unit, "return printk(\"direct %d\", x);", "return printk(\"direct %d\", x + twice(x)) + (lock + 1);");
  p.edit(p.unit, "int direct(",
         "static int lock; void touch(void) { lock++; }\nstatic inline int thrice(int x)\n{\n\treturn x * 3;\n}\n"
         "static inline int twice(int x)\n{\n\treturn thrice(x) * 2;\n}\nint unused(int x)\n{\n\treturn x;\n}\nint "
         "direct(");
  p.edit(p.unit, "return box->b;", "return (box->b);");
  const auto left_out = p.run().left_out;
  const auto has = [&](const std::string& text) {
    return std::any_of(left_out.begin(), left_out.end(), [&](const std::string& l) { return l.find(text) != l.npos; });
  };
  INFO(Catch::StringMaker<std::vector<std::string>>::convert(left_out));
  CHECK(has("thrice (new, unit.c:4-7): no code of its own; twice names it"));
  CHECK(has("unused (new, unit.c:12-15): nothing in the module refers to it"));
  CHECK(has("): what is compiled of it is as before"));
  CHECK_FALSE(has("lock"));
}

TEST_CASE("a lifted function names the lines of what it is lifted for, and needs no source", "[explain]") {
  Patched p;
  p.edit(p.unit, "static __attribute__((noinline)) int helper",
         "static __attribute__((noinline, no_instrument_function)) int helper");
  p.original_unit = p.unit;
  p.edit(p.unit, "\"helper %d\"", "\"Helper %d\"");
  const auto why = because(p.run(), "user");
  CHECK_THAT(why.front(), Catch::StartsWith("calls helper, which changed ("));
  CHECK_THAT(why.front(), Catch::EndsWith("; unit.c:10 changes helper"));
  CHECK_THAT(because(p.run(false), "user").front(), Catch::StartsWith("calls helper, which changed ("));
}

TEST_CASE("what the source does not explain is not guessed", "[explain]") {
  SourceChanges source(1);
  source[0] = {SourceDefinition::Kind::function, "unit.c", "f", 1, 3, 1, 3, {}, {}, {"g"}};
  const diff::ChangeSet none;
  elf::DebugInfo original, patched;
  original.functions["f"] = patched.functions["f"] = {"unit.c", 1};
  {
    const diff::Explanations explanations(&source, original, patched, none);
    REQUIRE(explanations.causes("f").size() == 1);
    CHECK(
        explanations.causes("f")[0].text ==
        "no line of it changes, nor of what is known to be inlined into it; the compiler's code differs all the same");
    CHECK(explanations.causes("f")[0].place.empty());
  }
  SECTION("the compiler's choice to inline") {
    patched.inlined["f"] = {{"g", 2, -1}};
    const diff::Explanations explanations(&source, original, patched, none);
    CHECK(explanations.causes("f.isra.0")[0].text == "no line of it changes; the compiler now inlines g() into it");
  }
  SECTION("inlined at another number of places") {
    original.inlined["f"] = {{"g", 2, -1}};
    patched.inlined["f"] = {{"g", 2, -1}, {"g", 3, -1}};
    const diff::Explanations explanations(&source, original, patched, none);
    CHECK(explanations.causes("f")[0].text ==
          "no line of it changes; the compiler inlines g() into it 2 times instead of 1");
  }
  SECTION("a type that it may reach through others") {
    source.push_back({SourceDefinition::Kind::type, "a.h", "struct s", 5, 8, 5, 9, {{6, 7}}, {}, {}});
    const diff::Explanations explanations(&source, original, patched, none);
    CHECK_THAT(explanations.causes("f")[0].text,
               Catch::EndsWith("; it may depend on a type that changes: struct s (a.h:6-7)"));
  }
  SECTION("a callee that changed") {
    source.push_back({SourceDefinition::Kind::function, "unit.c", "g", 5, 8, 5, 9, {{6, 7}}, {}, {}});
    const diff::Explanations explanations(&source, original, patched, none);
    CHECK_THAT(explanations.causes("f")[0].text,
               Catch::StartsWith("unit.c:6-7 changes g(), which it calls; no line of"));
  }
}

}  // namespace
}  // namespace klp::test
