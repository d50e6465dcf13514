// The workspace on small trees, with the system's compiler and commands like those that kbuild records.
#include <catch2/catch.hpp>

#include <fstream>

#include "kernel/header_reach.h"
#include "kernel/workspace.h"
#include "support/run.h"

using namespace klp;
using namespace klp::kernel;

namespace {

/// A source tree of two units, a kernel and an index of it, and a place to work.
struct Fixture {
  TempDir work{fs::temp_directory_path(), "workspace-test"};
  Kernel kernel;
  Findings findings;

  Fixture() {
    kernel.name = "test";
    kernel.arch = "x86_64";
    kernel.compiler = "gcc";
    kernel.source = work.path() / "source";
    kernel.cache = work.path() / "cache";
    write("fs/proc/a.c",
          "#include \"../internal.h\"\n#include \"own.h\"\nint a(void)\n{\n\treturn VALUE + OWN;\n}\nint "
          "line(void)\n{\n\treturn __LINE__;\n}\n");
    write("fs/proc/own.h", "#define OWN 1\n");
    write("fs/b.c", "#include \"internal.h\"\nint b(void)\n{\n\treturn VALUE;\n}\n");
    write("fs/internal.h", "#define VALUE 1\n");
    write("fs/off.c", "int off;\n");
    write("fs/Makefile", "obj-y += b.o\nobj-$(CONFIG_OFF) += off.o\n");
    fs::create_directory(work.path() / "ws");
  }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((kernel.source / path).parent_path());
    std::ofstream(kernel.source / path) << text;
  }

  static Unit unit(const std::string& stem) {
    return {stem + ".o",
            stem + ".c",
            fmt::format("gcc -Wp,-MMD,{0}.d -O1 -c -o {0}.o {0}.c ; true {0}.o", stem),
            {"vmlinux"}};
  }

  KernelIndex index() const {
    return KernelIndex::from_units({unit("fs/proc/a"), unit("fs/b")},
                                   {{"fs/internal.h", {"fs/proc/a.o", "fs/b.o"}}, {"fs/proc/own.h", {"fs/proc/a.o"}}});
  }

  /// A patch that turns the tree's files into these contents; an empty one removes the file.
  fs::path patch(const std::map<std::string, std::string>& contents) {
    static int number = 0;
    const fs::path base = work.path() / ("edit" + std::to_string(++number));
    fs::create_directory(base);
    fs::copy(kernel.source, base / "a", fs::copy_options::recursive);
    fs::copy(kernel.source, base / "b", fs::copy_options::recursive);
    for (const auto& [path, text] : contents) {
      fs::remove(base / "b" / path);
      if (!text.empty()) std::ofstream(base / "b" / path) << text;
    }
    RunOptions options;
    options.directory = base;
    const fs::path file = base / "x.patch";
    std::ofstream(file) << run({"diff", "-ruN", "a", "b"}, options).output;
    return file;
  }

  std::vector<std::string> codes() const {
    std::vector<std::string> result;
    for (const Finding& finding : findings.list()) result.push_back(finding.code);
    return result;
  }
};

struct Built {
  std::vector<TouchedFile> touched;
  std::vector<CompiledUnit> units;
};

Built build(Fixture& f, const KernelIndex& index, const std::vector<fs::path>& patches) {
  const TempDir directory(f.work.path(), "run");
  Workspace workspace(f.kernel, index, f.work.path() / "ws");
  Built built;
  built.touched = workspace.apply(patches, f.findings);
  built.units = workspace.compile(workspace.units_to_compile(built.touched, f.findings), built.touched, {}, f.findings);
  return built;
}

/// The machine code of a function; equal for equal code.
std::string code(const fs::path& object, const std::string& function) {
  const std::string all = run_checked({"objdump", "-d", "--no-show-raw-insn", object.string()});
  const size_t at = all.find("<" + function + ">:");
  return at == std::string::npos ? "" : all.substr(at, all.find("ret", at) - at);
}

}  // namespace

TEST_CASE("a patched unit is compiled twice, and lines below the hunk keep their number", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  std::string text = read_file(f.kernel.source / "fs/proc/a.c");
  text.replace(text.find("return VALUE"), 6, "int x = 5;\n\treturn x +");
  const Built built = build(f, index, {f.patch({{"fs/proc/a.c", text}})});
  CHECK(f.codes().empty());
  REQUIRE(built.units.size() == 1);
  CHECK(built.units[0].line_marks);
  CHECK_FALSE(built.units[0].original_cached);
  CHECK(code(built.units[0].original, "a") != code(built.units[0].patched, "a"));
  CHECK(code(built.units[0].original, "line") == code(built.units[0].patched, "line"));
  CHECK_FALSE(code(built.units[0].original, "line").empty());
  // The kernel's own tree is as it was.
  CHECK_FALSE(fs::exists(f.kernel.source / "fs/proc/a.o"));
  CHECK(read_file(f.kernel.source / "fs/proc/a.c").find("int x") == std::string::npos);
}

TEST_CASE("a header reached through .. is the patched one", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  std::string text = read_file(f.kernel.source / "fs/proc/a.c") + "int more;\n";
  std::string b = read_file(f.kernel.source / "fs/b.c") + "int more_b;\n";
  const Built built =
      build(f, index, {f.patch({{"fs/proc/a.c", text}, {"fs/b.c", b}, {"fs/internal.h", "#define VALUE 77\n"}})});
  CHECK(f.codes().empty());
  REQUIRE(built.units.size() == 2);
  for (const CompiledUnit& unit : built.units) {
    const std::string function = unit.unit->unit == "fs/b.o" ? "b" : "a";
    CHECK(code(unit.original, function) != code(unit.patched, function));
  }
}

TEST_CASE("a unit that its Makefile takes from elsewhere, as arch/x86/kvm does with virt/kvm", "[workspace]") {
  Fixture f;
  fs::create_directories(f.kernel.source / "arch/kvm");
  Unit unit = Fixture::unit("arch/kvm/../../fs/b");
  unit.unit = "fs/b.o";
  unit.source = "fs/b.c";
  const auto index = KernelIndex::from_units({unit}, {});
  const Built built =
      build(f, index, {f.patch({{"fs/b.c", "#include \"internal.h\"\nint b(void)\n{\n\treturn VALUE + 1;\n}\n"}})});
  REQUIRE(built.units.size() == 1);
  CHECK(code(built.units[0].original, "b") != code(built.units[0].patched, "b"));
}

TEST_CASE("a header reached through a directory that is not on the way to any patched file", "[workspace]") {
  Fixture f;
  f.write("include/deep/one.h", "#include \"../../fs/internal.h\"\n");
  f.write("fs/b.c", "#include \"../include/deep/one.h\"\nint b(void)\n{\n\treturn VALUE;\n}\n");
  const auto index = f.index();
  const Built built = build(f, index,
                            {f.patch({{"fs/b.c", read_file(f.kernel.source / "fs/b.c") + "int n;\n"},
                                      {"fs/proc/a.c", read_file(f.kernel.source / "fs/proc/a.c") + "int n;\n"},
                                      {"fs/internal.h", "#define VALUE 77\n"}})});
  REQUIRE(built.units.size() == 2);
  CHECK(code(built.units[0].original, "b") != code(built.units[0].patched, "b"));
}

TEST_CASE("headers for patch authors are there for the patched side only", "[workspace]") {
  Fixture f;
  // A kernel that has some of these headers itself, and what ours include.
  f.write("include/linux/livepatch.h",
          "struct klp_patch { int x; };\nvoid *klp_get_state(struct klp_patch *, unsigned long);\n"
          "void *klp_get_prev_state(unsigned long);\n");
  for (const char* name : {"build_bug", "compiler", "static_call", "stringify", "syscalls"})
    f.write(fmt::format("include/linux/{}.h", name), "");
  f.write("include/linux/livepatch_external.h", "#define KERNELS_EXTERNAL\n");
  f.write("include/linux/livepatch_helpers.h", "#define KERNELS_HELPERS\n");
  f.write("fs/b.c",
          "#if __has_include(\"kpatch-macros.h\")\nint patched_side(void) { return 1; }\n#endif\n"
          "#include <linux/livepatch_helpers.h>\n#include <linux/livepatch_external.h>\n"
          "#ifdef KERNELS_HELPERS\nint helpers(void) { return 1; }\n#endif\n"
          "#ifdef KERNELS_EXTERNAL\nint external(void) { return 1; }\n#endif\n");
  Unit b = Fixture::unit("fs/b");
  b.command.replace(b.command.find("-O1"), 3, "-O1 -Iinclude");
  const auto index = KernelIndex::from_units({b}, {{"include/linux/livepatch_helpers.h", {"fs/b.o"}}});
  const auto has = [](const fs::path& object, const char* function) { return !code(object, function).empty(); };
  std::map<std::string, std::string> change = {{"fs/b.c", read_file(f.kernel.source / "fs/b.c") + "int more;\n"}};
  bool own = false;
  SECTION("ours are found before the kernel's, but for the one with the types") {}
  SECTION("a patch that brings such a header means its own") {
    own = true;
    change["include/linux/livepatch_helpers.h"] = "#define KERNELS_HELPERS 1\n";
  }
  const Built built = build(f, index, {f.patch(change)});
  CHECK(f.codes().empty());
  REQUIRE(built.units.size() == 1);
  CHECK_FALSE(has(built.units[0].original, "patched_side"));
  CHECK(has(built.units[0].original, "helpers"));
  CHECK(has(built.units[0].patched, "patched_side"));
  CHECK(has(built.units[0].patched, "helpers") == own);
  CHECK(has(built.units[0].patched, "external"));
}

TEST_CASE("originals are cached until something that made them changes", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  const auto again = [&] {
    fs::remove_all(f.work.path() / "ws");
    fs::create_directory(f.work.path() / "ws");
    return build(f, index, {f.patch({{"fs/b.c", read_file(f.kernel.source / "fs/b.c") + "int n;\n"}})}).units.at(0);
  };
  CHECK_FALSE(again().original_cached);
  CHECK(again().original_cached);
  fs::last_write_time(f.kernel.source / "fs/internal.h", fs::file_time_type::clock::now());
  CHECK(again().original_cached);  // touched, but the same
  f.write("fs/internal.h", "#define VALUE 2\n");
  const CompiledUnit changed = again();
  CHECK_FALSE(changed.original_cached);
  CHECK(code(changed.original, "b").find("0x2") != std::string::npos);
  for (const auto& entry : fs::directory_iterator(f.kernel.cache / "originals/objects"))
    std::ofstream(entry.path()) << "damaged";
  CHECK_FALSE(again().original_cached);
}

TEST_CASE("a header reaches the units that include it", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  Workspace workspace(f.kernel, index, f.work.path() / "ws");
  const auto reached = [&](const std::vector<TouchedFile>& touched, const std::vector<const Unit*>& compiled) {
    std::vector<std::string> names;
    for (const ReachedUnit& unit :
         reached_units(index, {workspace.source_tree(), workspace.patched_tree()}, touched, compiled))
      names.push_back(unit.unit->unit);
    return names;
  };
  SECTION("a real change") {
    const auto touched = workspace.apply({f.patch({{"fs/internal.h", "#define VALUE 3\n"}})}, f.findings);
    CHECK(workspace.units_to_compile(touched, f.findings).empty());
    CHECK(reached(touched, {}) == std::vector<std::string>{"fs/b.o", "fs/proc/a.o"});
    CHECK(f.codes().empty());
  }
  SECTION("a comment reaches nobody") {
    const auto touched = workspace.apply({f.patch({{"fs/internal.h", "/* one */\n\n#define VALUE 1\n"}})}, f.findings);
    CHECK(workspace.units_to_compile(touched, f.findings).empty());
    CHECK(reached(touched, {}).empty());
    CHECK(f.codes().empty());
  }
  SECTION("the touched units are no reach") {
    const auto touched =
        workspace.apply({f.patch({{"fs/proc/own.h", "#define OWN 2\n"},
                                  {"fs/proc/a.c", read_file(f.kernel.source / "fs/proc/a.c") + "int n;\n"}})},
                        f.findings);
    const auto units = workspace.units_to_compile(touched, f.findings);
    CHECK(units.size() == 1);
    CHECK(reached(touched, units).empty());
    CHECK(f.codes().empty());
  }
}

TEST_CASE("files that no unit compiles, and compiled files that go away", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  Workspace workspace(f.kernel, index, f.work.path() / "ws");
  SECTION("not in this configuration") {
    const auto touched = workspace.apply({f.patch({{"fs/off.c", "int off2;\n"}})}, f.findings);
    workspace.units_to_compile(touched, f.findings);
    REQUIRE(f.codes() == std::vector<std::string>{"not-built"});
    CHECK(f.findings.list()[0].hint.find("CONFIG_OFF") != std::string::npos);
  }
  SECTION("a new file alone") {
    const auto touched = workspace.apply({f.patch({{"fs/new.c", "int n;\n"}})}, f.findings);
    workspace.units_to_compile(touched, f.findings);
    CHECK(f.codes() == std::vector<std::string>{"not-built"});
  }
  SECTION("a new file and a new header that a touched file includes") {
    const auto touched = workspace.apply(
        {f.patch({{"fs/new.c", "int n = N;\n"},
                  {"fs/new.h", "#define N 3\n"},
                  {"fs/b.c", "#include \"new.h\"\n#include \"new.c\"\n" + read_file(f.kernel.source / "fs/b.c")}})},
        f.findings);
    const auto units = workspace.units_to_compile(touched, f.findings);
    CHECK(f.codes().empty());
    CHECK(workspace.compile(units, touched, {}, f.findings).size() == 1);
    CHECK(f.codes().empty());
  }
  SECTION("removed") {
    const auto touched = workspace.apply({f.patch({{"fs/b.c", ""}})}, f.findings);
    REQUIRE(touched.size() == 1);
    CHECK(touched[0].change == FileChange::removed);
    CHECK(workspace.units_to_compile(touched, f.findings).empty());
    CHECK(f.codes() == std::vector<std::string>{"build-rules"});
  }
}

TEST_CASE("code that is compiled into images, or that constants are generated from", "[workspace]") {
  Fixture f;
  f.write("arch/x86/kernel/asm-offsets.c", "int x;\n");
  f.write("lib/shared.c", "int y;\n");
  Unit offsets{"arch/x86/kernel/asm-offsets.s", "arch/x86/kernel/asm-offsets.c", "gcc -S", {"vmlinux"}};
  Unit vdso{"arch/x86/entry/vdso/shared.o", "lib/shared.c", "gcc -c", {"vmlinux"}};
  const auto index = KernelIndex::from_units({offsets, vdso}, {});
  Workspace workspace(f.kernel, index, f.work.path() / "ws");
  const auto touched = workspace.apply(
      {f.patch({{"arch/x86/kernel/asm-offsets.c", "int x2;\n"}, {"lib/shared.c", "int y2;\n"}})}, f.findings);
  CHECK(workspace.units_to_compile(touched, f.findings).empty());
  CHECK(f.codes() == std::vector<std::string>{"build-rules", "special-image"});
}

TEST_CASE("a file that make has to generate first", "[workspace]") {
  Fixture f;
  f.kernel.release = "test";
  f.kernel.pahole = "/bin/true";
  f.write("fs/b.c", "#include \"made.h\"\nint b(void)\n{\n\treturn MADE;\n}\n");
  f.write("Makefile", "fs/b.o:\n\techo '#define MADE 4' > fs/made.h\n");
  const auto index = f.index();
  const Built built = build(f, index, {f.patch({{"fs/b.c", read_file(f.kernel.source / "fs/b.c") + "int n;\n"}})});
  CHECK(f.codes().empty());
  REQUIRE(built.units.size() == 1);
  CHECK_FALSE(fs::exists(f.kernel.source / "fs/b.o"));
}

TEST_CASE("an original that does not compile is an Error", "[workspace]") {
  Fixture f;
  f.write("fs/b.c", "int broken(\n");
  f.write("Makefile", "fs/b.o:\n\tfalse\n");
  const auto index = f.index();
  CHECK_THROWS_WITH(build(f, index, {f.patch({{"fs/b.c", "int n;\n"}})}),
                    Catch::Contains("the unpatched fs/b.c does not compile"));
}

TEST_CASE("a patch that does not compile shows the patched file's own line", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  const Built built =
      build(f, index,
            {f.patch({{"fs/b.c", "int n1;\nint n2;\n" + read_file(f.kernel.source / "fs/b.c") + "int broken(\n"}})});
  CHECK(built.units.empty());
  REQUIRE(f.codes() == std::vector<std::string>{"does-not-compile"});
  CHECK(f.findings.list()[0].message.find("fs/b.c:8") != std::string::npos);
}

TEST_CASE("a warning that the original does not give is a finding, others are not", "[workspace]") {
  Fixture f;
  const std::string old = "int *old(void)\n{\n\treturn 4711;\n}\n";
  f.write("fs/b.c", old);
  const auto index = f.index();
  SECTION("the original's own") {
    build(f, index, {f.patch({{"fs/b.c", "int n;\n" + old}})});
    CHECK(f.codes().empty());
  }
  SECTION("the patch's") {
    build(f, index, {f.patch({{"fs/b.c", old + "int *fresh(void)\n{\n\treturn 4711;\n}\n"}})});
    REQUIRE(f.codes() == std::vector<std::string>{"compiler-warning"});
    const Finding& finding = f.findings.list()[0];
    CHECK(finding.severity == Severity::warning);
    CHECK(finding.message.find("fresh") != std::string::npos);
    CHECK(finding.message.find("old") == std::string::npos);
  }
}

TEST_CASE("a source that does not compile with line marks is compiled without them, and a note says so",
          "[workspace]") {
  Fixture f;
  const Built built = build(f, f.index(),
                            {f.patch({{"fs/b.c",
                                       "int one;\n#include \"internal.h\"\nint b(void)\n{\n\treturn VALUE;\n}\n"
                                       "_Static_assert(__LINE__ == 7, \"\");\n"}})});
  CHECK(f.codes() == std::vector<std::string>{"line-marks"});
  REQUIRE(built.units.size() == 1);
  CHECK_FALSE(built.units[0].line_marks);
}

TEST_CASE("patches that lie elsewhere, fit twice or not at all", "[workspace]") {
  Fixture f;
  const auto index = f.index();
  const fs::path good = f.patch({{"fs/b.c", "#include \"internal.h\"\nint b(void)\n{\n\treturn VALUE + 1;\n}\n"}});
  Workspace workspace(f.kernel, index, f.work.path() / "ws");
  SECTION("an offset is a note, and the hunk is where it came to lie") {
    std::string text = read_file(good);
    text.replace(text.find("@@ -1,5 +1,5 @@"), 15, "@@ -11,5 +11,5 @@");
    std::ofstream(good) << text;
    const auto touched = workspace.apply({good}, f.findings);
    CHECK(f.codes() == std::vector<std::string>{"patch-fuzz"});
    REQUIRE(touched.size() == 1);
    CHECK(touched[0].hunks[0].new_start == 1);
  }
  SECTION("applied already") {
    f.write("fs/b.c", "#include \"internal.h\"\nint b(void)\n{\n\treturn VALUE + 1;\n}\n");
    workspace.apply({good}, f.findings);
    REQUIRE(f.codes() == std::vector<std::string>{"patch-does-not-apply"});
    CHECK(f.findings.list()[0].message.find("already has") != std::string::npos);
  }
  SECTION("something else there") {
    f.write("fs/b.c", "int quite;\nint different;\n");
    workspace.apply({good}, f.findings);
    REQUIRE(f.codes() == std::vector<std::string>{"patch-does-not-apply"});
    CHECK(f.findings.list()[0].message.find("+\treturn VALUE + 1;") != std::string::npos);
  }
  SECTION("two patches in order") {
    const fs::path second = f.work.path() / "second.patch";
    std::ofstream(second) << "--- a/fs/b.c\n+++ b/fs/b.c\n@@ -4 +4 @@\n-\treturn VALUE + 1;\n+\treturn VALUE;\n";
    CHECK(workspace.apply({good, second}, f.findings).empty());
    CHECK(f.codes().empty());
  }
}
