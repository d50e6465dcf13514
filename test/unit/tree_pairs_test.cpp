#include "kernel/tree_pairs.h"

#include <catch2/catch.hpp>
#include <span>

#include "elf/same_content.h"
#include "elf_fixture.h"

using namespace klp;
using namespace klp::kernel;
using namespace klp::test;
using Catch::Matchers::Contains;

namespace {

Unit unit(const std::string& name, const std::string& object, const std::string& suffix = ".c") {
  return {name, name.substr(0, name.size() - 2) + suffix, "gcc", {object}};
}

KernelIndex sample_index() {
  return KernelIndex::from_units(
      {unit("fs/proc/stat.o", "vmlinux"), unit("fs/proc/meminfo.o", "vmlinux"),
       unit("arch/x86/lib/copy.o", "vmlinux", ".S"), unit("drivers/a/one.o", "my_module"),
       unit("drivers/a/two.o", "my_module"), unit("drivers/a/alone.o", "alone"),
       unit("arch/x86/entry/vdso/vgetcpu.o", "vmlinux"), unit("arch/x86/entry/vdso/vma.o", "vmlinux"),
       unit("arch/x86/realmode/init.o", "vmlinux"), unit("init/version.o", "vmlinux"),
       unit("drivers/firmware/efi/libstub/mem.o", "vmlinux")},
      {});
}

const std::string kCompile = "gcc -Wp,-MMD,.x.d -D__KERNEL__ -O2 -c -o x.o x.c";

/// An object with a function, a variable and what a debugger reads.
std::string object(const std::string& text = "text", const std::string& debug = "/home/a") {
  ObjectFixture fixture;
  fixture.file("x.c");
  fixture.function("f", to_bytes(text)).global();
  fixture.data("v", 4);
  fixture.table(".debug_str", to_bytes(debug), 0, 1);
  const elf::ElfObject built = fixture.result();
  return {reinterpret_cast<const char*>(built.bytes().data()), built.bytes().size()};
}

/// Two trees in a temporary directory.
struct Trees {
  TempDir directory{fs::temp_directory_path(), "klp-trees"};
  BuildTrees trees{directory.path() / "a", directory.path() / "b"};
  KernelIndex index = sample_index();
  Findings findings;

  static void write(const fs::path& root, const std::string& file, const std::string& content) {
    fs::create_directories((root / file).parent_path());
    write_file_atomically(root / file, content);
  }
  void both(const std::string& file, const std::string& a, const std::string& b) const {
    write(trees.original, file, a);
    write(trees.patched, file, b);
  }
  std::vector<std::string> differing() {
    std::vector<std::string> names;
    for (const TreePair& pair : pair_trees(trees, index, findings).differing) names.push_back(pair.unit->unit);
    return names;
  }
  /// "refusal not-built drivers/x.o", in order.
  std::vector<std::string> said() const {
    std::vector<std::string> list;
    for (const Finding& f : findings.list())
      list.push_back(fmt::format("{} {} {}", to_string(f.severity), f.code, f.unit));
    return list;
  }
};

using Names = std::vector<std::string>;

std::string message_of(const Error& error) {
  return std::string(error.what()) + " | " + error.hint();
}

template <typename Body>
std::string error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return message_of(error);
  }
  return "no error";
}

}  // namespace

TEST_CASE("what an object of a build tree is", "[trees]") {
  const KernelIndex index = sample_index();
  const auto kind = [&](const char* name, const std::string& command = {}) {
    return kind_of_object(index, name, command);
  };
  CHECK(kind("fs/proc/stat.o") == TreeObject::unit);
  CHECK(kind("drivers/a/one.o", kCompile) == TreeObject::unit);
  CHECK(kind("arch/x86/lib/copy.o") == TreeObject::assembly);
  CHECK(kind("arch/x86/entry/vdso/vgetcpu.o") == TreeObject::special_image);
  CHECK(kind("arch/x86/entry/vdso/vma.o") == TreeObject::unit);
  CHECK(kind("arch/x86/realmode/init.o") == TreeObject::unit);
  CHECK(kind("arch/x86/realmode/rm/regs.o") == TreeObject::special_image);
  CHECK(kind("arch/x86/purgatory/purgatory.o") == TreeObject::special_image);
  CHECK(kind("arch/x86/boot/compressed/misc.o") == TreeObject::boot_image);
  CHECK(kind("drivers/firmware/efi/libstub/mem.o") == TreeObject::boot_image);
  CHECK(kind("drivers/b/new.o", kCompile) == TreeObject::stranger);
  CHECK(kind("drivers/b/new.o") == TreeObject::stranger);
  // A module's parts linked together, with and without the command; a program; products of build and links.
  CHECK(kind("drivers/a/my-module.o") == TreeObject::other);
  CHECK(kind("drivers/b/new.o", "ld -m elf_x86_64 -r -o drivers/b/new.o @drivers/b/new.mod") == TreeObject::other);
  CHECK(kind("drivers/b/gen.o", "gcc -Wall -O2 -c -o drivers/b/gen.o drivers/b/gen.c") == TreeObject::other);
  for (const char* name : {"vmlinux.o", ".tmp_vmlinux.kallsyms1.o", ".vmlinux.export.o", "drivers/a/alone.mod.o",
                           "scripts/mod/empty.o", "tools/objtool/check.o", "usr/initramfs_data.o", "init/version.o",
                           "arch/x86/entry/vdso/vdso-image-64.o", "arch/x86/boot/compressed/piggy.o",
                           "arch/x86/purgatory/kexec-purgatory.o", "drivers/firmware/efi/libstub/mem.stub.o"}) {
    INFO(name);
    CHECK(kind(name) == TreeObject::other);
  }
}

/// What is no object any more is not the same one either.
static bool same_objects(const std::string& a, const std::string& b) {
  try {
    return elf::same_but_for_debug_info(std::as_bytes(std::span(a)), std::as_bytes(std::span(b)));
  } catch (const Error&) {
    return false;
  }
}

TEST_CASE("same but for debug information: any other byte counts", "[trees]") {
  const std::string reference = object();
  const elf::ElfObject parsed = elf::ElfObject::parse("x.o", to_bytes(reference));
  CHECK(same_objects(reference, reference));
  CHECK(same_objects(reference, object("text", "/a/longer/path")));
  CHECK_FALSE(same_objects(reference, object("test")));
  CHECK_FALSE(same_objects(reference, object("texts")));
  for (const elf::Section& section : parsed.sections()) {
    const auto at = static_cast<size_t>(section.data.data() - parsed.bytes().data());
    for (size_t i = 0; i < section.data.size(); ++i) {
      std::string changed = reference;
      changed[at + i] = static_cast<char>(changed[at + i] ^ 1);
      INFO(section.name << " byte " << i);
      CHECK(same_objects(reference, changed) == (section.name == ".debug_str"));
    }
  }
}

TEST_CASE("same but for debug information: files cut short end in an Error or are different", "[trees]") {
  const std::string whole = object();
  for (size_t size = 0; size < whole.size(); size += 7) {
    INFO(size);
    CHECK_FALSE(same_objects(whole, whole.substr(0, size)));
  }
}

TEST_CASE("only units that differ in more than debug information are left", "[trees]") {
  Trees t;
  t.both("fs/proc/stat.o", object("same"), object("same"));
  t.both("fs/proc/meminfo.o", object("old"), object("new"));
  t.both("drivers/a/one.o", object("same", "/home/a"), object("same", "/home/bbb"));
  t.both("drivers/a/alone.o", object("old"), object("new", "/home/bbb"));
  t.both("drivers/a/alone.mod.o", object("old"), object("new"));
  t.both("vmlinux.o", "old", "new");
  t.both("scripts/x.o", "old", "new");
  t.both("fs/proc/built-in.a", "old", "new");
  CHECK(t.differing() == Names{"drivers/a/alone.o", "fs/proc/meminfo.o"});
  CHECK(t.said().empty());
}

TEST_CASE("no difference is left unsaid", "[trees]") {
  Trees t;
  t.both("fs/proc/stat.o", object(), object());
  t.both("arch/x86/lib/copy.o", object("old"), object("new"));
  t.both("arch/x86/entry/vdso/vgetcpu.o", object("old"), object("new"));
  t.both("drivers/b/strange.o", object("old"), object("new"));
  Trees::write(t.trees.patched, "drivers/b/added.o", object());
  Trees::write(t.trees.patched, "fs/proc/meminfo.o", object());
  Trees::write(t.trees.original, "drivers/a/one.o", object());
  Trees::write(t.trees.original, "drivers/a/two.o", object());
  CHECK(t.differing().empty());
  CHECK(t.said() == Names{"refusal asm-source arch/x86/lib/copy.o",
                          "refusal special-image arch/x86/entry/vdso/vgetcpu.o", "refusal not-built fs/proc/meminfo.o",
                          "refusal not-built drivers/a/one.o", "refusal not-built drivers/b/added.o"});
  CHECK_THAT(t.findings.list()[3].message, Contains("2 objects") && Contains("drivers/a/two.o"));
  CHECK_THAT(t.findings.list()[4].message, Contains("drivers/b/strange.o"));
}

TEST_CASE("equal objects that the kernel does not have are nobody's business", "[trees]") {
  Trees t;
  t.both("fs/proc/stat.o", object(), object());
  t.both("drivers/b/strange.o", object(), object("text", "/home/bbb"));
  CHECK(t.differing().empty());
  CHECK(t.said().empty());
}

TEST_CASE("boot code differs in every build; what counts is its source", "[trees]") {
  Trees t;
  t.both("fs/proc/stat.o", object(), object());
  for (const char* name : {"kaslr", "misc", "video"}) {
    const std::string stem = std::string("arch/x86/boot/") + name;
    t.both(stem + ".o", object("old"), object("new"));
    t.both(fmt::format("arch/x86/boot/.{}.o.cmd", name),
           fmt::format("cmd_{0}.o := {1}\n\nsource_{0}.o := {0}.c\n", stem, kCompile),
           fmt::format("savedcmd_{0}.o := {1}\n\nsource_{0}.o := {0}.c\n", stem, kCompile));
  }
  t.both("arch/x86/boot/kaslr.c", "int same;\n", "int same;\n");
  t.both("arch/x86/boot/misc.c", "int old;\n", "int new;\n");
  CHECK(t.differing().empty());
  // The source of video.o is in neither tree.
  CHECK(t.said() == Names{"refusal special-image arch/x86/boot/misc.o", "note special-image arch/x86/boot/kaslr.o"});
  CHECK_THAT(t.findings.list()[1].message, Contains("arch/x86/boot/video.o"));
}

TEST_CASE("a unit that is built in here and a module there is refused", "[trees]") {
  Trees t;
  t.both("fs/proc/stat.o", object("old"), object("new"));
  t.both("drivers/a/one.o", object("old"), object("new"));
  t.both("drivers/a/.one.o.cmd",
         "cmd_drivers/a/one.o := gcc -D__KERNEL__ -DMODULE -c -o drivers/a/one.o drivers/a/one.c\n",
         "cmd_drivers/a/one.o := gcc -D__KERNEL__ -c -o drivers/a/one.o drivers/a/one.c\n");
  CHECK(t.differing() == Names{"fs/proc/stat.o"});
  CHECK(t.said() == Names{"refusal config-mismatch drivers/a/one.o"});
}

TEST_CASE("trees without a unit in common, and damaged objects", "[trees]") {
  Trees t;
  t.both("hello.o", object(), object());
  CHECK_THAT(error_of([&] { t.differing(); }), Contains("no object of this kernel in common"));
  t.both("fs/proc/stat.o", object(), object().substr(0, 200));
  CHECK_THAT(error_of([&] { t.differing(); }), Contains("fs/proc/stat.o") && Contains("compile the tree again"));
}

TEST_CASE("trees are held against each other and against the kernel", "[trees]") {
  Trees t;
  const std::string config = "CONFIG_LIVEPATCH=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 12.2\"\nCONFIG_NUMA=y\n";
  Kernel kernel;
  kernel.release = "6.1.0-1-amd64";
  kernel.compiler_text = "gcc-12 12.2";
  kernel.config = t.directory.path() / "config";
  write_file_atomically(kernel.config, config);
  const auto check = [&] { check_trees(t.trees, kernel, t.findings); };
  CHECK_THAT(error_of(check), Contains("/a is not a directory"));
  t.both("fs/x", "", "");
  check();
  CHECK(t.said().empty());

  t.both(".config", config, config);
  t.both("include/config/kernel.release", "6.1.0-1-amd64\n", "6.1.0-1-amd64\n");
  check();
  CHECK(t.said().empty());
  t.both("include/config/kernel.release", "6.1.7\n", "6.1.7\n");
  t.both(".config", config + "CONFIG_SLUB=y\n", config + "CONFIG_SLUB=y\n");
  check();
  CHECK(t.said() == Names{"note config-mismatch ", "warning config-mismatch "});
  t.both("include/config/kernel.release", "6.1.7\n", "6.1.7-dirty\n");
  CHECK_THAT(error_of(check), Contains("config-mismatch") && Contains("6.1.7-dirty"));
  t.both(".config", config, config + "CONFIG_SLUB=y\n");
  CHECK_THAT(error_of(check), Contains("config-mismatch") && Contains("CONFIG_SLUB: unset -> y"));
  t.trees.patched = t.trees.original / ".";
  CHECK_THAT(error_of(check), Contains("are the same tree"));
}

TEST_CASE("objects that cannot be cut into functions and variables", "[trees]") {
  TempDir directory(fs::temp_directory_path(), "klp-trees");
  const fs::path file = directory.path() / "x.o";
  const auto error = [&](const std::string& content) {
    write_file_atomically(file, content);
    return error_of([&] { check_unit_object(file); });
  };
  const auto bytes = [](ObjectFixture& fixture) {
    const elf::ElfObject built = fixture.result();
    return std::string(reinterpret_cast<const char*>(built.bytes().data()), built.bytes().size());
  };
  CHECK(error(object()) == "no error");
  CHECK_THAT(error("BC\xC0\xDE????"), Contains("LLVM bitcode"));
  CHECK_THAT(error("\xDE\xC0\x17\x0B????"), Contains("LLVM bitcode"));
  {
    ObjectFixture lto;
    lto.table(".gnu.lto_.decls", to_bytes("x"), 0, 1);
    CHECK_THAT(error(bytes(lto)), Contains("LTO"));
  }
  {
    ObjectFixture shared;
    Piece& text = shared.table(".text", to_bytes("ffgg"), elf::kShfAlloc | elf::kShfExec);
    shared.label("f", text, 0, 2, elf::kSttFunc);
    CHECK_THAT(error(bytes(shared)), Contains("without -ffunction-sections") && Contains("KCFLAGS="));
    shared.function("h");  // assembler inside a unit that has its own sections otherwise
    CHECK(error(bytes(shared)) == "no error");
  }
  {
    ObjectFixture shared;
    shared.function("f");
    shared.string("text");
    Piece& data = shared.table(".rodata", to_bytes("abcd"));
    shared.label("d", data, 0, 4, elf::kSttObject);
    CHECK_THAT(error(bytes(shared)), Contains("without -fdata-sections"));
  }
}
