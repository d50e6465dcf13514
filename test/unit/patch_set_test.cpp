// Patches in all the forms they come in, and what their paths mean.
#include <catch2/catch.hpp>

#include "kernel/patch_set.h"
#include "support/error.h"

using klp::Error;
using klp::Findings;
using namespace klp::kernel;

namespace {

constexpr const char* kGitPatch =
    "From 0123456789 Mon Sep 17 00:00:00 2001\n"
    "From: A <a@example.org>\n"
    "Subject: [PATCH] fix\n"
    "\n"
    "--- this line is prose\n"
    "---\n"
    " fs/a.c | 2 +-\n"
    "diff --git a/fs/a.c b/fs/a.c\n"
    "index 111..222 100644\n"
    "--- a/fs/a.c\n"
    "+++ b/fs/a.c\n"
    "@@ -1,3 +1,3 @@ int f(void)\n"
    " one\n"
    "--- two\n"
    "+++ zwei\n"
    " three\n"
    "-- \n"
    "2.39.0\n";

std::vector<TouchedFile> parse(const std::string& text) {
  return parse_patch(text, "x.patch");
}

std::vector<std::string> codes_of(const std::vector<std::string>& paths) {
  std::vector<TouchedFile> files;
  for (const std::string& path : paths) {
    TouchedFile file;
    file.path = file.old_path = path;
    files.push_back(file);
  }
  Findings findings;
  check_paths(files, findings);
  std::vector<std::string> codes;
  for (const klp::Finding& finding : findings.list()) codes.push_back(finding.code);
  return codes;
}

}  // namespace

TEST_CASE("a git patch with mail around it", "[patch_set]") {
  const auto files = parse(kGitPatch);
  REQUIRE(files.size() == 1);
  CHECK(files[0].path == "fs/a.c");
  CHECK(files[0].change == FileChange::modified);
  REQUIRE(files[0].hunks.size() == 1);
  CHECK(files[0].hunks[0].old_count == 3);
  // Lines that look like headers belong to the hunk by its counts.
  CHECK(files[0].hunks[0].lines == std::vector<std::string>{" one", "--- two", "+++ zwei", " three"});
  CHECK(files[0].text.starts_with("diff --git"));
}

TEST_CASE("a plain diff -ru over two files, with CRLF and a missing newline", "[patch_set]") {
  const auto files = parse(
      "diff -ru a/x.c b/x.c\n--- a/x.c\t2024-01-01 00:00:00 +0000\n+++ b/x.c\t2024-01-02 00:00:00 +0000\n@@ -5 +5,2 "
      "@@\n-old\n+new\n+more\n"
      "\\ No newline at end of file\n--- a/y.c\r\n+++ b/y.c\r\n@@ -1 +0,0 @@\r\n-gone\r\n");
  REQUIRE(files.size() == 2);
  CHECK(files[0].hunks[0].old_start == 5);
  CHECK(files[0].hunks[0].old_count == 1);
  CHECK(files[0].hunks[0].new_count == 2);
  CHECK(files[0].hunks[0].lines.size() == 4);
  CHECK(files[1].path == "y.c");
}

TEST_CASE("new, deleted, renamed and copied files, and changes of the mode alone", "[patch_set]") {
  const auto files = parse(
      "diff --git a/n.c b/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+x\n"
      "diff --git a/d.c b/d.c\ndeleted file mode 100644\n--- a/d.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
      "diff --git a/r/old.c b/r/new.c\nsimilarity index 100%\nrename from r/old.c\nrename to r/new.c\n"
      "diff --git a/c.c b/c2.c\nsimilarity index 100%\ncopy from c.c\ncopy to c2.c\n"
      "diff --git a/m.c b/m.c\nold mode 100644\nnew mode 100755\n");
  REQUIRE(files.size() == 4);
  CHECK(files[0].change == FileChange::added);
  CHECK(files[1].change == FileChange::removed);
  CHECK(files[1].path == "d.c");
  CHECK(files[2].change == FileChange::renamed);
  CHECK(files[2].old_path == "r/old.c");
  CHECK(files[2].path == "r/new.c");
  CHECK(files[3].change == FileChange::added);
  CHECK(files[3].path == "c2.c");
  CHECK(parse("diff --git a/m.c b/m.c\nold mode 100644\nnew mode 100755\n").empty());
}

TEST_CASE("what is no patch is an Error that names the place", "[patch_set]") {
  const auto message = [](const std::string& text) {
    try {
      parse(text);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(message("just a text\n").find("x.patch: this is not a patch") != std::string::npos);
  CHECK(message("").find("not a patch") != std::string::npos);
  CHECK(message("--- a/x.c\n+++ b/x.c\n@@ -1,x +1 @@\n").find("x.patch:3: malformed hunk header") != std::string::npos);
  CHECK(message("--- a/x.c\n+++ b/x.c\n@@ -1,4 +1,4 @@\n a\n").find("cut off") != std::string::npos);
  CHECK(message("--- a/x.c\n+++ b/x.c\n@@ -1,1 +1,1 @@\n-a\n-b\n").find("do not match the counts") !=
        std::string::npos);
  CHECK(message("--- a/../x.c\n+++ b/../x.c\n@@ -1 +1 @@\n-a\n+b\n").find("leaves the kernel tree") !=
        std::string::npos);
  CHECK(message("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n").find("leaves the kernel tree") !=
        std::string::npos);
  CHECK(message("diff --git a/f.bin b/f.bin\nGIT binary patch\nliteral 0\n").find("binary") != std::string::npos);
  CHECK(message("--- x.c\n+++ x.c\n@@ -1 +1 @@\n-a\n+b\n").find("no leading component") != std::string::npos);
}

TEST_CASE("paths that cannot be patched are refused one by one", "[patch_set]") {
  CHECK(codes_of({"fs/Makefile", "fs/Kconfig", "net/Kbuild", "scripts/mod/modpost.c", "tools/objtool/check.c",
                  "arch/x86/kernel/vmlinux.lds.S", "arch/x86/entry/syscalls/syscall_64.tbl"}) ==
        std::vector<std::string>(7, "build-rules"));
  CHECK(codes_of({"arch/x86/lib/memcpy_64.S", "arch/x86/boot/main.c", "arch/x86/boot/Makefile",
                  "arch/x86/entry/vdso/vclock_gettime.c", "drivers/firmware/efi/libstub/efi-stub.c",
                  "arch/x86/purgatory/purgatory.c", "arch/x86/realmode/rm/wakemain.c"}) ==
        std::vector<std::string>{"asm-source", "special-image", "build-rules", "special-image", "special-image",
                                 "special-image", "special-image"});
}

TEST_CASE("kernel code, and what is none, passes", "[patch_set]") {
  CHECK(codes_of({"fs/a.c", "include/linux/fs.h", "arch/x86/realmode/init.c", "arch/x86/entry/vdso/vma.c",
                  "arch/x86/include/asm/vdso/processor.h"})
            .empty());
  CHECK(codes_of({"Documentation/Makefile", "Documentation/x.rst", "MAINTAINERS", "samples/Kconfig",
                  "tools/testing/selftests/Makefile", "tools/power/x.c", "debian/changelog"})
            .empty());
}
