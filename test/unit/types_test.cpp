#include "elf/types.h"

#include <catch2/catch.hpp>

#include "elf/layout_compare.h"
#include "support/files.h"
#include "support/run.h"

using namespace klp;
using elf::LayoutChange;
using elf::LayoutComparison;
using elf::LayoutState;
using elf::TypeTable;

namespace {

TypeTable compiled(const std::string& source, std::vector<std::string> compiler = {"gcc", "-g"}) {
  const TempDir directory(fs::temp_directory_path(), "klp-types-test");
  write_file_atomically(directory.path() / "unit.c", source);
  for (const char* option : {"-O1", "-w", "-c", "unit.c", "-o", "unit.o"}) compiler.emplace_back(option);
  RunOptions options;
  options.directory = directory.path();
  run_checked(compiler, options);
  return TypeTable::from_dwarf(elf::ElfObject::read(directory.path() / "unit.o"));
}

constexpr const char* kSource = R"c(
typedef unsigned long word;
enum kind { first, second = 7, minus = -1 };
struct inner { char c; int i; };
union either { int a; char b[8]; };
typedef struct { int counter; } number;
struct outer {
  const char *text;
  word bits : 3, more : 2;
  _Bool flag : 1;
  union { int alone; struct { short low, high; }; };
  struct inner in[2][3];
  int (*call)(struct outer *, word);
  enum kind kind;
  number n;
  union either e;
  struct hidden *hidden;
};
extern int elsewhere(struct outer *o, ...);
static int twice(struct outer *o) { struct inner copy = o->in[1][2]; return copy.i * o->n.counter; }
struct outer global;
int user(struct outer *o, word w) {
  static struct inner kept;
  struct local { long l; } here = { w };
  kept.i += here.l;
  return elsewhere(o, &kept, kept.i, o->kind == minus) + twice(o) + twice(&global);
}
)c";

/// The comparison of `name`, with members as `before` and `after`.
LayoutComparison members(const std::string& before, const std::string& after, const char* name = "struct s",
                         const char* compiler = "gcc") {
  const std::string use = fmt::format("\n{} *made(void); long use(void) {{ return *(char*)made(); }}\n", name);
  const auto source = [&](const std::string& body) { return fmt::format("{} {{ {} }};{}", name, body, use); };
  const TypeTable a = compiled(source(before), {compiler, "-g"}), b = compiled(source(after), {compiler, "-g"});
  REQUIRE(a.find(name) != 0);
  return elf::LayoutComparer(a, b).compare(name);
}

}  // namespace

TEST_CASE("types are read from DWARF of every version and both compilers", "[types]") {
  const char* compiler = GENERATE("gcc", "clang");
  const char* version = GENERATE("-gdwarf-3", "-gdwarf-4", "-gdwarf-5");
  INFO(compiler << " " << version);
  const TypeTable table = compiled(kSource, {compiler, "-g", version});
  const elf::TypeId id = table.find("struct outer");
  REQUIRE(id != 0);
  const elf::Type& outer = table.at(id);
  CHECK(outer.size == 96);
  CHECK(outer.line == 7);
  CHECK(outer.file.ends_with("unit.c"));
  REQUIRE(outer.members.size() == 11);
  CHECK(outer.members[1].bit_offset == 64);
  CHECK(outer.members[2].bit_offset == 67);
  CHECK(outer.members[2].bit_size == 2);
  CHECK(outer.members[3].bit_offset == 69);
  CHECK(table.at(table.strip(outer.members[3].type)).is_bool);
  CHECK(outer.members[4].name.empty());
  CHECK(outer.members[5].bit_offset == 16 * 8);
  CHECK(table.size_of(outer.members[5].type) == 48);
  CHECK(table.text(outer.members[5].type) == "struct inner[2][3]");
  CHECK(table.text(outer.members[6].type) == "int (*)(struct outer *, word)");
  CHECK(table.at(table.find("enum kind")).enumerators[1].value == 7);
  CHECK(table.at(table.find("enum kind")).enumerators[2].value == -1);
  CHECK(table.find("typedef number") != 0);
  CHECK(table.find("struct hidden") == 0);
  CHECK(table.find("struct local in user()") != 0);
}

TEST_CASE("functions come with their prototypes and with what they declare", "[types]") {
  const char* compiler = GENERATE("gcc", "clang");
  INFO(compiler);
  const TypeTable table = compiled(kSource, {compiler, "-g", "-O2"});
  const elf::FunctionType* user = table.function("user");
  REQUIRE(user != nullptr);
  CHECK(user->external);
  CHECK(user->out_of_line);
  CHECK(table.text(user->prototype) == "int (struct outer *, word)");
  REQUIRE(user->names.size() == 4);
  using Kind = elf::TypedName::Kind;
  const std::map<std::string_view, Kind> kinds = {
      {"o", Kind::parameter}, {"w", Kind::parameter}, {"kept", Kind::fixed}, {"here", Kind::local}};
  for (const elf::TypedName& name : user->names) CHECK(kinds.at(name.name) == name.kind);
  const elf::FunctionType* elsewhere = table.function("elsewhere");
  REQUIRE(elsewhere != nullptr);
  CHECK(!elsewhere->defined);
  CHECK(table.at(elsewhere->prototype).variadic);
  CHECK(table.text(elsewhere->prototype) == "int (struct outer *, ...)");
  const elf::FunctionType* twice = table.function("twice");
  REQUIRE(twice != nullptr);
  CHECK(!twice->external);
  if (!twice->out_of_line) {
    REQUIRE(user->inlined.size() == 1);
    CHECK(&table.functions()[user->inlined[0]] == twice);
  }
  CHECK(table.variables().size() == 1);
}

TEST_CASE("an object without debug information has an empty table", "[types]") {
  CHECK(compiled("int f(void) { return 1; }", {"gcc"}).empty());
}

TEST_CASE("a table compared with itself has no difference", "[types]") {
  const TypeTable a = compiled(kSource, {"gcc", "-g"}), b = compiled(kSource, {"clang", "-g"});
  CHECK(elf::LayoutComparer(a, a).differences().empty());
  CHECK(elf::LayoutComparer(a, b).differences().empty());
}

TEST_CASE("what a struct's change means is told by its members", "[types]") {
  struct Case {
    const char *before, *after;
    LayoutState state;
    LayoutChange::Kind kind;
    const char* text;
  };
  using Kind = LayoutChange::Kind;
  const Case cases[] = {
      {"char a; int b;", "char a; char x; int b;", LayoutState::hole_filled, Kind::added_in_hole,
       "new member x at offset 1, where nothing was"},
      {"int a; unsigned f : 3;", "int a; unsigned f : 3, g : 1;", LayoutState::hole_filled, Kind::added_in_hole,
       "new member g at offset 4, bit 3, where nothing was"},
      {"int a; int b;", "int a; int b; int c;", LayoutState::changed, Kind::added, "new member c at offset 8"},
      {"int a; int b;", "int b; int a;", LayoutState::changed, Kind::moved, "member a moved from offset 0 to offset 4"},
      {"int a; char p[4];", "int a; char p[3], q;", LayoutState::changed, Kind::resized,
       "member p at offset 4 has 3 bytes instead of 4 bytes"},
      {"int a;", "unsigned a;", LayoutState::changed, Kind::retyped,
       "member a at offset 0 is now unsigned int, was int"},
      {"struct x *a;", "struct y *a;", LayoutState::changed, Kind::retyped,
       "member a at offset 0 is now struct y *, was struct x *"},
      {"int a;", "int a : 1;", LayoutState::changed, Kind::bitfield,
       "member a at offset 0 (4 bytes) is now int bit-field at offset 0, bit 0 (1 bit)"},
      {"_Bool a;", "_Bool b : 1, a : 1;", LayoutState::changed, Kind::bitfield, "member a"},
      {"_Bool a;", "_Bool a : 1, b : 1;", LayoutState::hole_filled, Kind::bool_bit, "member a at offset 0 (1 byte)"},
      {"int (*f)(int);", "int (*f)(int, int);", LayoutState::changed, Kind::prototype, "another kind of function"},
      {"int (*f[2])(int);", "int (*f[2])(long);", LayoutState::changed, Kind::prototype, "another kind of function"},
      {"int a; int b;", "int a; int c;", LayoutState::changed, Kind::renamed, "member b at offset 4 is now called c"},
      {"int a; int b;", "int a; int : 32;", LayoutState::hole_filled, Kind::removed, "member b at offset 4 is gone"},
      {"union { int a; char b; };", "union { int a; char b; short c; };", LayoutState::changed, Kind::added,
       "new member c at offset 0"},
      {"int a; struct { int b; } n;", "int a; struct { unsigned b; } n;", LayoutState::changed, Kind::retyped,
       "member n.b at offset 4"},
  };
  for (const Case& c : cases) {
    INFO(c.before << " -> " << c.after);
    const LayoutComparison result = members(c.before, c.after);
    CHECK(result.state == c.state);
    REQUIRE(!result.changes.empty());
    CHECK(result.changes[0].kind == c.kind);
    CHECK_THAT(result.changes[0].text(), Catch::Contains(c.text));
  }
}

TEST_CASE("spelling and what pointers lead to do not change a layout", "[types]") {
  const char* compiler = GENERATE("gcc", "clang");
  const char* before = "struct s *next; const char *t; struct o { int a; } *o; unsigned long l; long (*f)(struct o *);";
  const char* after = "struct s *next; char *t; struct o { int a; int b; } *o; word l; long (*f)(struct o *other);";
  const LayoutComparison result =
      members(before, std::string(after).replace(std::string(after).find("word"), 4, "volatile unsigned long"),
              "struct s", compiler);
  INFO(compiler);
  CHECK(result.state == LayoutState::same);
}

TEST_CASE("a struct that embeds a larger one changed because of that", "[types]") {
  const char* use = "struct o { struct i i; int last; }; struct o o; int f(void) { return o.last; }";
  const TypeTable a = compiled(fmt::format("struct i {{ int a; }}; {}", use)),
                  b = compiled(fmt::format("struct i {{ int a, b; }}; {}", use));
  const auto differences = elf::LayoutComparer(a, b).differences();
  REQUIRE(differences.size() == 2);
  CHECK(differences[0].because_of.empty());
  CHECK(differences[1].name == "struct o");
  CHECK(differences[1].because_of == std::vector<std::string>{"struct i"});
}

TEST_CASE("enumerators: new ones are no change, renumbered ones are", "[types]") {
  const auto compare = [](const char* before, const char* after) {
    const char* use = "; int f(int x) { return x == first || x == second; }";
    const TypeTable a = compiled(std::string(before) + use), b = compiled(std::string(after) + use);
    auto differences = elf::LayoutComparer(a, b).differences();
    return differences.empty() ? LayoutComparison() : differences[0];
  };
  CHECK(compare("enum { first, second }", "enum { first, second, third }").state == LayoutState::same);
  CHECK(compare("enum e { first, second }", "enum e { first, second, third }").state == LayoutState::same);
  for (const char* name : {"", "e"}) {
    const auto renumbered = compare(fmt::format("enum {} {{ first, second }}", name).c_str(),
                                    fmt::format("enum {} {{ zeroth, first, second }}", name).c_str());
    CHECK(renumbered.state == LayoutState::changed);
    REQUIRE(renumbered.changes.size() == 2);
    CHECK(renumbered.changes[0].text() == "enumerator first is 1, was 0");
  }
  const auto replaced = compare("enum e { first, second, third }", "enum e { first, second, other }");
  CHECK(replaced.state == LayoutState::changed);
  CHECK(replaced.changes[0].text() == "what was enumerator third is other now");
  CHECK(compare("enum e { first, second, third }", "enum e { first, second }").state == LayoutState::hole_filled);
  const auto counted = compare("enum e { first, second, E_MAX }", "enum e { first, second, third, E_MAX }");
  CHECK(counted.state == LayoutState::hole_filled);
  CHECK(counted.changes[0].kind == LayoutChange::Kind::count);
}

TEST_CASE("prototypes differ by what is passed and returned", "[types]") {
  const auto difference = [](const char* before, const char* after) {
    const auto table = [](const char* declaration) {
      return compiled(fmt::format("struct a; struct b; {};\nvoid *p = f;", declaration));
    };
    const TypeTable a = table(before), b = table(after);
    return elf::LayoutComparer(a, b).prototype_difference(a.function("f")->prototype, b.function("f")->prototype);
  };
  CHECK(difference("int f(struct a *x)", "int f(const struct a *y)").empty());
  CHECK(difference("void f(void)", "int f(void)") == "it returns int instead of void");
  CHECK(difference("void f(int)", "void f(int, int)") == "it takes 2 arguments instead of 1");
  CHECK(difference("void f(int)", "void f(long)") == "argument 1 is long int instead of int");
  CHECK(difference("void f(struct a *)", "void f(struct b *)") == "argument 1 is struct b * instead of struct a *");
}

TEST_CASE("BTF answers the same questions as DWARF", "[types]") {
  const TempDir directory(fs::temp_directory_path(), "klp-types-test");
  write_file_atomically(directory.path() / "unit.c", kSource);
  RunOptions options;
  options.directory = directory.path();
  // clang writes BTF for this target only; pahole, which makes the kernel's, may not be there.
  run_checked({"clang", "-target", "bpf", "-g", "-O1", "-w", "-c", "unit.c", "-o", "unit.o"}, options);
  const TypeTable table = TypeTable::from_btf(directory.path() / "unit.o"), dwarf = compiled(kSource);
  REQUIRE(table.find("struct outer") != 0);
  CHECK(table.at(table.find("struct outer")).size == 96);
  CHECK(table.text(table.at(table.find("struct outer")).members[6].type) == "int (*)(struct outer *, word)");
  CHECK(elf::LayoutComparer(table, dwarf).differences().empty());
  REQUIRE(table.function("elsewhere") != nullptr);
  CHECK(elf::LayoutComparer(table, dwarf)
            .prototype_difference(table.function("user")->prototype, dwarf.function("user")->prototype)
            .empty());
  CHECK(table.at(table.function("elsewhere")->prototype).variadic);
  CHECK_THROWS_WITH(TypeTable::from_btf("/proc/self/exe"), Catch::Contains("no readable .BTF"));
}
