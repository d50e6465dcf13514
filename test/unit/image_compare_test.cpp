// Two builds of a small program: as objects and as linked images, which must agree.
#include "diff/image_compare.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "diff/image_form.h"
#include "diff/line_only.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::test {
namespace {

constexpr const char* kSource = R"c(
extern int printk(const char *text, ...);
struct ops { int (*read)(int); const char *name; long limit; };
static int counter;
static __attribute__((noinline)) int helper(int x) { static int n; n += x; return n + counter; }
int first(int x) { return printk("first %d", x) + helper(x); }
int second(int x) { counter += x; return x > 3 ? helper(x) : first(x); }
static __attribute__((noinline)) int other(int x) { static int n; n -= x; return n; }
int third(int x) { return other(x) * 3; }
struct ops table = { first, "table", 7 };
__attribute__((noipa)) int printk(const char *text, ...) { return text[0]; }
)c";

struct Builds {
  TempDir directory{fs::temp_directory_path(), "klp-image-compare"};

  fs::path object(const std::string& source, const std::string& name) const {
    const fs::path file = directory.path() / name / "unit.c", object = directory.path() / name / "unit.o";
    fs::create_directories(file.parent_path());
    write_file_atomically(file, source);
    run_checked({"gcc", "-O2", "-g", "-fno-pic", "-mcmodel=kernel", "-ffunction-sections", "-fdata-sections",
                 "-fcf-protection=none", "-c", "-o", object.string(), file.string()});
    return object;
  }

  fs::path linked(const fs::path& object, const std::string& start) const {
    const fs::path image = object.string() + ".image";
    run_checked({"ld", "-o", image.string(), "-Ttext=" + start, "-e", "first", "--no-relax", object.string()});
    return image;
  }
};

std::vector<std::string> names(const std::vector<diff::ImageChange>& changes) {
  std::vector<std::string> result;
  for (const auto& c : changes) result.push_back(c.name);
  std::sort(result.begin(), result.end());
  return result;
}

using Names = std::vector<std::string>;

std::string edited(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// The changed functions and variables, in which all three ways to compare agree; or, not `as_units`, two of them.
std::pair<Names, Names> changed(const std::string& before, const std::string& after, bool as_units = true) {
  const Builds builds;
  const fs::path a = builds.object(before, "a"), b = builds.object(after, "b");
  const auto objects = diff::compare_images(elf::ElfObject::read(a), elf::ElfObject::read(b));
  const auto images = diff::compare_images(
      elf::ElfObject::read(builds.linked(a, "0xffffffff81000000"), elf::ElfObject::Want::symbols_only),
      elf::ElfObject::read(builds.linked(b, "0xffffffff81400000"), elf::ElfObject::Want::symbols_only));
  CHECK(names(objects.functions) == names(images.functions));
  CHECK(names(objects.variables) == names(images.variables));
  if (as_units) {
    const auto units = diff::compare_units(elf::ElfObject::read(a), elf::ElfObject::read(b));
    CHECK(names(objects.functions) == names(units.functions));
    CHECK(names(objects.variables) == names(units.variables));
  }
  CHECK(images.compared > 0);
  return {names(images.functions), names(images.variables)};
}

}  // namespace

TEST_CASE("a build does not differ from itself, wherever it is linked", "[compare]") {
  CHECK(changed(kSource, kSource) == std::pair<Names, Names>{});
}

TEST_CASE("other lines, another order and other numbers of statics are no difference", "[compare]") {
  CHECK(changed(kSource, std::string("\n\n\n") + kSource) == std::pair<Names, Names>{});
  std::string moved = edited(kSource, "int third(int x) { return other(x) * 3; }\n", "");
  moved = edited(moved, "static int counter;\n",
                 "static int counter;\nstatic int other(int x);\nint third(int x) { return other(x) * 3; }\n");
  CHECK(changed(kSource, moved) == std::pair<Names, Names>{});
}

TEST_CASE("each kind of change is seen", "[compare]") {
  CHECK(changed(kSource, edited(kSource, "x > 3", "x > 4")).first == Names{"second"});
  CHECK(changed(kSource, edited(kSource, "first %d", "first: %d")).first == Names{"first", "second"});
  CHECK(
      changed(kSource, edited(kSource, "? helper(x)", "? other(x)").replace(0, 1, "static int other(int x);")).first ==
      Names{"second"});
  CHECK(changed(kSource, edited(kSource, "\"table\", 7", "\"table\", 8")).second == Names{"table"});
  CHECK(changed(kSource, edited(kSource, "{ first,", "{ second,")).second == Names{"table"});
  CHECK(changed(kSource, edited(kSource, "\"table\"", "\"tables\"")).second == Names{"table"});
}

TEST_CASE("a function whose .cold part differs as well is one change", "[compare]") {
  const std::string source = std::string(kSource) +
                             "extern __attribute__((cold, noreturn)) void die(const char *text, int x);\n"
                             "int split(int x) { if (x > 3) die(\"too large\", x + 7); return x * 5; }\n"
                             "__attribute__((noipa, cold, noreturn)) void die(const char *text, int x)"
                             "{ for (;;) printk(text, x); }\n";
  REQUIRE(changed(source, source) == std::pair<Names, Names>{});
  CHECK(changed(source, edited(edited(source, "x + 7", "x + 8"), "x * 5", "x * 9")).first == Names{"split"});
  CHECK(changed(source, edited(source, "x + 7", "x + 8")).first == Names{"split"});
}

TEST_CASE("a variable that nobody uses is a difference when it comes or goes", "[compare]") {
  const std::string more = std::string(kSource) + "long spare = 3;";
  CHECK(changed(kSource, more).second == Names{"spare"});
  CHECK(changed(more, kSource).second == Names{"spare"});
}

TEST_CASE("a function of another name is not one gone and one new", "[compare]") {
  const Builds builds;
  const auto a = elf::ElfObject::read(builds.object(kSource, "a"));
  const auto b =
      elf::ElfObject::read(builds.object(edited(kSource, "int second(int x)", "int second_one(int x)"), "b"));
  const auto difference = diff::compare_images(a, b);
  REQUIRE(names(difference.functions) == Names{"second_one"});
  CHECK(difference.functions[0].reason == "renamed from second");
}

TEST_CASE("code that went to memory of another kind is a difference", "[compare]") {
  const std::string init =
      edited(kSource, "int third(int x)", "__attribute__((section(\".init.text\"))) int third(int x)");
  CHECK(changed(kSource, init).first == Names{"third"});
}

TEST_CASE("a pointer stored into itself is where it is linked", "[compare]") {
  const std::string list =
      std::string(kSource) + "struct list { struct list *next; } list; void start(void) { list.next = &list; }";
  CHECK(changed(list, "\n\n" + list) == std::pair<Names, Names>{});
}

TEST_CASE("entries of the kernel's tables belong to functions, wherever they are linked", "[compare]") {
  const std::string source = std::string(kSource) + R"c(
long key_a = 1, key_b = 2;
int keyed(int x)
{
  asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n.pushsection __jump_table,\"aw\"\n.balign 8\n"
           ".long 1b - ., %l[out] - .\n.quad key_a - .\n.popsection" : : : : out);
  return x * 3;
out:
  return x;
})c";
  CHECK(changed(source, "\n" + source) == std::pair<Names, Names>{});
  CHECK(changed(source, edited(source, "key_a - .", "key_b - .")).first == Names{"keyed"});
}

TEST_CASE("a table beside what it refers to, in the linked image's .rodata", "[compare]") {
  const std::string source = std::string(kSource) + R"c(
const long key_a = 1, key_b = 2;
int keyed(int x)
{
  asm goto("1: .byte 0x0f,0x1f,0x44,0,0\n.pushsection .rodata.jump,\"a\"\n.balign 8\n"
           ".globl __start___jump_table, __stop___jump_table\n__start___jump_table:\n"
           ".long 1b - ., %l[out] - .\n.quad key_a - .\n__stop___jump_table:\n.popsection" : : : : out);
  return x * 3;
out:
  return x;
})c";
  const Builds builds;
  const auto read = [&](const std::string& text, const char* name) {
    return elf::ElfObject::read(builds.linked(builds.object(text, name), "0xffffffff81000000"),
                                elf::ElfObject::Want::symbols_only);
  };
  const auto same = diff::compare_images(read(source, "a"), read("\n" + source, "b"));
  CHECK((same.functions.empty() && same.not_compared.empty()));
  const auto other = diff::compare_images(read(source, "a"), read(edited(source, "key_a - .", "key_b - ."), "b"));
  CHECK(names(other.functions) == Names{"keyed"});
}

TEST_CASE("what is new or gone is named", "[compare]") {
  const Builds builds;
  const auto a = elf::ElfObject::read(builds.object(kSource, "a"));
  const auto b =
      elf::ElfObject::read(builds.object(std::string(kSource) + "int fresh(int x) { return third(x) + 1; }", "b"));
  const auto there = diff::compare_images(a, b), back = diff::compare_images(b, a);
  REQUIRE(names(there.functions) == Names{"fresh"});
  CHECK(there.functions[0].kind == diff::ImageChange::Kind::added);
  REQUIRE(names(back.functions) == Names{"fresh"});
  CHECK(back.functions[0].kind == diff::ImageChange::Kind::removed);
}

TEST_CASE("the compiler's numbers are no part of a name", "[compare]") {
  CHECK(diff::stable_name("foo.constprop.0.isra.12") == "foo.constprop.isra");
  CHECK(diff::stable_name("foo.part.0.cold") == "foo.part.cold");
  CHECK(diff::stable_name("n.3") == "n");
  CHECK(diff::stable_name("__UNIQUE_ID_ddebug123") == "__UNIQUE_ID_ddebug");
  CHECK(diff::stable_name("sha256") == "sha256");
  CHECK(diff::stable_name("__initcall__kmod_kcmp__341_239_kcmp_init3") == "__initcall__kmod_kcmp_kcmp_init3");
}

TEST_CASE("which of several of one name is meant", "[compare]") {
  const std::string source = std::string(kSource) + R"c(
#define CLONE(f, name) static __attribute__((noinline, noclone)) int f(int) __asm__(name)
CLONE(clone_a, "clone.constprop.0"); CLONE(clone_b, "clone.constprop.1");
static int state_a __asm__("state.5") = 3, state_b __asm__("state.6") = 3;
static int clone_a(int x) { return printk("a", x) + x; }
static int clone_b(int x) { return printk("b", x) - x; }
int one(int x) { return clone_a(x) * 2 + state_a; }
int two(int x) { return clone_b(x) * 3 + state_b; }
int three(int x) { return clone_a(x) + 5 + (state_a += x); }
int four(int x) { return clone_b(x) + 7 + (state_b += x); }
)c";
  // To the engine of `build` these are functions and variables of other names: it goes by debug information.
  const auto both = [](const std::string& text, const std::string& x, const std::string& y) {
    return edited(edited(edited(text, x, "@@"), y, x), "@@", y);
  };
  CHECK(changed(source, both(source, "clone.constprop.0", "clone.constprop.1"), false) == std::pair<Names, Names>{});
  CHECK(changed(source, both(source, "state.5", "state.6"), false) == std::pair<Names, Names>{});
  CHECK(changed(source, edited(source, "clone_a(x) + 5", "clone_b(x) + 5"), false).first == Names{"three"});
  CHECK(changed(source, edited(source, "+ state_a", "+ state_b"), false).first == Names{"one"});
}

TEST_CASE("constants without a name count with all that they hold", "[compare]") {
  const std::string source = std::string(kSource) + R"c(
asm(".pushsection .rodata.w,\"aw\"\n.quad 0\n.popsection"); // the linked image's .rodata is writable, as vmlinux's
int names(int x) { return printk("one\0two", x); }
int plain(int x) { return printk("plain", x) + printk("", x); }
__attribute__((noipa)) int use(int *numbers) { return numbers[0]; }
__attribute__((target("general-regs-only"))) int sum(void) { int all[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; return use(all); }
)c";
  CHECK(changed(source, "\n" + source) == std::pair<Names, Names>{});
  CHECK(changed(source, edited(source, "0two", "0too")).first == Names{"names"});
  CHECK(changed(source, edited(source, "\"plain", "\"pla1n")).first == Names{"plain"});
  CHECK(changed(source, edited(source, "9, 10,", "9, 11,")).first == Names{"sum"});
}

TEST_CASE("what has no size, at the end of the image", "[compare]") {
  const std::string source = std::string(kSource) + R"c(
struct key {};
__attribute__((noipa)) int take(struct key *key) { return key != 0; }
int lock(void) { static struct key key; return take(&key) + 1; }
struct { int id; long more[3]; } list[4] = {{1}, {2}, {3}, {4}};
asm(".data\n.quad 0\n.text");
int all(void) { int sum = 0; for (int i = 0; i < 4; ++i) sum += list[i].more[1] = printk("", i); return sum; }
)c";
  CHECK(changed(source, "\n" + source) == std::pair<Names, Names>{});
}

TEST_CASE("how a build calls itself is no difference of what says so", "[compare]") {
  const std::string source = std::string(kSource) + R"c(
const char linux_banner[] = "Linux kernel version 6.1.0-1 (someone) #1 Debian 6.1.9";
int hello(int x) { return printk("this is 6.1.0-1, or Debian 6.1.9", x); }
const char *path = "/lib/6.1.0-1/";
)c";
  const std::string other =
      edited(edited(edited(source, "version 6.1.0-1", "version 6.1.0-2"), "is 6.1.0-1", "is 6.1.0-2"), "lib/6.1.0-1",
             "lib/6.1.0-2");
  const Builds builds;
  const auto read = [&](const std::string& text, const char* name) {
    return elf::ElfObject::read(builds.linked(builds.object(text, name), "0xffffffff81000000"),
                                elf::ElfObject::Want::symbols_only);
  };
  const auto difference = diff::compare_images(read(source, "a"), read(other, "b"));
  CHECK(difference.functions.empty());
  CHECK(difference.variables.empty());
  CHECK(difference.noise.at("build information") == 3);
  const auto more =
      diff::compare_images(read(source, "a"), read(edited(other, "Debian 6.1.9\", ", "Debian 6.1.8\", "), "b"));
  CHECK(names(more.functions) == Names{"hello"});
}

TEST_CASE("a line behind a file's name in a text", "[compare]") {
  const auto lines = diff::lines_in_text("field at fs/d.c:2930", "field at fs/d.c:998");
  REQUIRE(lines);
  CHECK((lines->before == 2930 && lines->after == 998));
  CHECK(diff::lines_in_text("fs/d.h:17 x", "fs/d.h:171 x"));
  CHECK_FALSE(diff::lines_in_text("fs/d.c:17 x", "fs/d.c:18 y"));
  CHECK_FALSE(diff::lines_in_text("fs/d.c:17", "fs/e.c:18"));
  CHECK_FALSE(diff::lines_in_text("limit:17", "limit:18"));
  CHECK_FALSE(diff::lines_in_text("fs/d.c:17", "fs/d.c:"));
  CHECK_FALSE(diff::lines_in_text("", ""));
  CHECK_FALSE(diff::lines_in_text("fs/d.c:1", "fs/d.c:1"));
}

TEST_CASE("builds for different machines, or one linked and one not, are an Error", "[compare]") {
  const Builds builds;
  const fs::path object = builds.object(kSource, "a");
  const auto a = elf::ElfObject::read(object);
  const auto image =
      elf::ElfObject::read(builds.linked(object, "0xffffffff81000000"), elf::ElfObject::Want::symbols_only);
  CHECK_THROWS_WITH(diff::compare_images(a, image), Catch::Contains("is linked, the other is not"));
}

}  // namespace klp::test
