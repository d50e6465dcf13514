#include <catch2/catch.hpp>

#include "kernel/include_scan.h"
#include "support/files.h"

namespace klp::kernel {
namespace {

class Tree {
 public:
  Tree() : directory_(fs::temp_directory_path(), "include-scan") {}
  void add(const std::string& path, const std::string& text) {
    fs::create_directories((directory_.path() / path).parent_path());
    write_file_atomically(directory_.path() / path, text);
  }
  void unit(const std::string& stem, const std::string& flags) {
    const std::string source = stem + ".c";
    units_[stem + ".o"] = Unit{stem + ".o", source, "gcc " + flags + " -c -o " + stem + ".o " + source, {"vmlinux"}};
  }
  std::vector<uint32_t> reaching(const std::string& file) {
    const auto all = scan_includes(directory_.path(), units_);
    const auto found = all.find(file);
    return found == all.end() ? std::vector<uint32_t>() : found->second;
  }
  fs::path path() const { return directory_.path(); }

 private:
  TempDir directory_;
  std::map<std::string, Unit> units_;
};

using Numbers = std::vector<uint32_t>;

TEST_CASE("#include lines are found in all their spellings", "[index]") {
  const auto lines = find_includes(
      "#include <linux/a.h>\n  #  include\t\"b.h\" /* c */\n#ifdef X\n#include_next <d.h>\n#endif\n"
      "int x; # include <no.h>\n#included <no.h>\n#include MACRO\n#include <broken\n/**/#include \"e.h\"");
  CHECK(lines == std::vector<IncludeLine>{{"linux/a.h", false}, {"b.h", true}, {"d.h", false}, {"e.h", true}});
}

TEST_CASE("file names behind a macro and trace headers count", "[index]") {
  CHECK(find_includes("#define GENL_MAGIC_INCLUDE_FILE <linux/drbd_genl.h>\n#define TEXT \"no\"\n") ==
        std::vector<IncludeLine>{{"linux/drbd_genl.h", false}});
  const auto lines = find_includes(
      "#define TRACE_SYSTEM foo\n#define TRACE_INCLUDE_PATH ../../drivers/foo\n"
      "#define TRACE_INCLUDE_FILE foo_trace\n");
  CHECK(std::count(lines.begin(), lines.end(), IncludeLine{"trace/../../drivers/foo/foo_trace.h", false}) == 1);
  CHECK(std::count(lines.begin(), lines.end(), IncludeLine{"foo_trace.h", true}) == 1);
}

TEST_CASE("directories and forced files are taken from the command in order", "[index]") {
  const IncludePaths paths = include_paths(
      "gcc -nostdinc -I./include -I arch/x86/include -include ./include/linux/kconfig.h -isystem sys -I. -c -o a.o a.c "
      "; objtool -Ino a.o");
  CHECK(paths.directories == std::vector<std::string>{"include/", "arch/x86/include/", "sys/", ""});
  CHECK(paths.forced == std::vector<std::string>{"include/linux/kconfig.h"});
}

TEST_CASE("chains, forced headers and included sources reach their units", "[index]") {
  Tree tree;
  tree.add("include/linux/a.h", "#include <linux/b.h>\n");
  tree.add("include/linux/b.h", "#ifdef NEVER\n#include \"c.h\"\n#endif\n");
  tree.add("include/linux/c.h", "#include <linux/a.h>\n");
  tree.add("include/linux/kconfig.h", "");
  tree.add("k/one.c", "#include <linux/a.h>\n#include \"rt.c\"\n");
  tree.add("k/rt.c", "#include <missing.h>\n");
  tree.add("k/two.c", "");
  tree.unit("k/one", "-I./include");
  tree.unit("k/two", "-I./include -include ./include/linux/kconfig.h");
  CHECK(tree.reaching("include/linux/c.h") == Numbers{0});
  CHECK(tree.reaching("include/linux/kconfig.h") == Numbers{1});
  CHECK(tree.reaching("k/rt.c") == Numbers{0});
  CHECK(tree.reaching("k/one.c").empty());
  CHECK(tree.reaching("missing.h").empty());
}

TEST_CASE("a quoted name is looked for beside the including file, then in the unit's directories", "[index]") {
  Tree tree;
  tree.add("include/x.h", "");
  tree.add("d/x.h", "");
  tree.add("extra/y.h", "#include \"x.h\"\n");
  tree.add("d/a.c", "#include \"x.h\"\n");
  tree.add("d/b.c", "#include <x.h>\n");
  tree.add("d/c.c", "#include \"y.h\"\n");
  tree.add("d/e.c", "#include \"y.h\"\n#include \"../d/x.h\"\n");
  tree.unit("d/a", "-Iinclude");
  tree.unit("d/b", "-Iinclude");
  tree.unit("d/c", "-Iinclude -Iextra");
  tree.unit("d/e", "-Iinclude");
  CHECK(tree.reaching("d/x.h") == Numbers{0, 3});
  CHECK(tree.reaching("include/x.h") == Numbers{1, 2});
  CHECK(tree.reaching("extra/y.h") == Numbers{2});
}

TEST_CASE("a header behind a symbolic link is known by its real path", "[index]") {
  Tree tree;
  tree.add("real/h.h", "");
  tree.add("a.c", "#include <link/h.h>\n");
  fs::create_directories(tree.path() / "include");
  fs::create_directory_symlink("../real", tree.path() / "include/link");
  tree.unit("a", "-Iinclude");
  CHECK(tree.reaching("real/h.h") == Numbers{0});
}

}  // namespace
}  // namespace klp::kernel
