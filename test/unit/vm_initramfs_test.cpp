// The cpio archive is read back by its format's description, not by our own code.
#include <catch2/catch.hpp>

#include <map>
#include <string>

#include "vm/initramfs.h"

using namespace klp::vm;

namespace {

struct Entry {
  unsigned mode = 0, rdev_major = 0, rdev_minor = 0;
  std::string content;
};

std::map<std::string, Entry> unpack(const std::string& archive) {
  std::map<std::string, Entry> result;
  size_t at = 0;
  const auto field = [&](size_t n) {
    return static_cast<unsigned>(std::stoul(archive.substr(at + 6 + 8 * n, 8), nullptr, 16));
  };
  const auto aligned = [](size_t n) { return (n + 3) / 4 * 4; };
  while (true) {
    REQUIRE(at % 4 == 0);
    REQUIRE(archive.substr(at, 6) == "070701");
    const Entry entry{field(1), field(9), field(10), {}};
    const size_t size = field(6), name_size = field(11);
    const std::string name = archive.substr(at + 110, name_size - 1);
    REQUIRE(archive.at(at + 110 + name_size - 1) == '\0');
    const size_t content_at = aligned(at + 110 + name_size);
    if (name == "TRAILER!!!") return result;
    REQUIRE(result.emplace(name, entry).second);
    result[name].content = archive.substr(content_at, size);
    at = aligned(content_at + size);
  }
}

}  // namespace

TEST_CASE("an archive holds files, links, devices, and the directories above them", "[vm]") {
  CpioWriter cpio;
  cpio.add_file("a/b/file", std::string("12345\0x", 7));
  cpio.add_file("init", "#!", true);
  cpio.add_link("a/link", "b/file");
  cpio.add_character_device("dev/console", 5, 1);
  CHECK(cpio.has("a/b"));
  CHECK_FALSE(cpio.has("a/c"));
  const auto entries = unpack(cpio.finish());
  CHECK(entries.size() == 7);
  CHECK(entries.at("a").mode == 040755);
  CHECK(entries.at("a/b").mode == 040755);
  CHECK(entries.at("a/b/file").mode == 0100644);
  CHECK(entries.at("a/b/file").content == std::string("12345\0x", 7));
  CHECK(entries.at("init").mode == 0100755);
  CHECK(entries.at("a/link").mode == 0120777);
  CHECK(entries.at("a/link").content == "b/file");
  CHECK(entries.at("dev/console").mode == 020600);
  CHECK(entries.at("dev/console").rdev_major == 5);
  CHECK(entries.at("dev/console").rdev_minor == 1);
}

TEST_CASE("the guest's archive has init, busybox and its applets, and the caller's files", "[vm]") {
  const klp::TempDir directory(klp::fs::temp_directory_path(), "initramfs-test");
  klp::write_file_atomically(directory.path() / "busybox", "binary");
  klp::write_file_atomically(directory.path() / "fix.ko", "module");
  klp::write_file_atomically(directory.path() / "init", "mine");
  InitramfsContent content;
  content.busybox = directory.path() / "busybox";
  content.applets = {"busybox", "sh", "cat"};
  content.files = {directory.path() / "fix.ko"};
  content.release = "6.1.0-test";
  const std::string archive = make_initramfs(content);
  CHECK(make_initramfs(content) == archive);
  const auto entries = unpack(archive);
  CHECK(entries.at("init").content.starts_with("#!/bin/sh\n"));
  CHECK(entries.at("bin/busybox").content == "binary");
  CHECK(entries.at("bin/sh").content == "busybox");
  CHECK(entries.at("fix.ko").content == "module");
  CHECK(entries.contains("lib/modules/6.1.0-test/modules.dep"));

  content.files = {directory.path() / "fix.ko", directory.path() / "fix.ko"};
  CHECK_THROWS_WITH(make_initramfs(content), Catch::Contains("fix.ko"));
  content.files = {directory.path() / "init"};
  CHECK_THROWS_WITH(make_initramfs(content), Catch::Contains("init"));
  content.files = {directory.path() / "missing"};
  CHECK_THROWS_WITH(make_initramfs(content), Catch::Contains("missing"));
}
