#include "support/files.h"

#include <sys/resource.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <fstream>

using namespace klp;

namespace {

size_t entries(const fs::path& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

/// Files of this process cannot grow over `bytes` while it lives: the same failed write as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("what is written is read back", "[files]") {
  TempDir directory(fs::temp_directory_path(), "klp-files-test");
  const fs::path path = directory.path() / "a";
  const std::string content("a\0b\n", 4);
  write_file_atomically(path, content);
  CHECK(read_file(path) == content);
  write_file_atomically(path, "");
  CHECK(read_file(path).empty());
  CHECK(entries(directory.path()) == 1);
}

TEST_CASE("files of any size are read whole, also those that do not know their size", "[files]") {
  TempDir directory(fs::temp_directory_path(), "klp-files-test");
  for (const size_t size : {1, 4095, 4096, 4097, 8192, 1'000'000}) {
    std::string content;
    for (size_t i = 0; i < size; ++i) content += static_cast<char>(i * 7 + i / 256);
    write_file_atomically(directory.path() / "a", content);
    CHECK(read_file(directory.path() / "a") == content);
  }
  CHECK(read_file("/proc/self/maps").ends_with("\n"));  // more than a page of text, of size 0
  CHECK(read_file("/proc/self/maps").size() > 4096);
}

TEST_CASE("a failed write leaves the old file and nothing else", "[files]") {
  TempDir directory(fs::temp_directory_path(), "klp-files-test");
  const fs::path path = directory.path() / "a";
  write_file_atomically(path, "old");
  {
    FileSizeLimit limit(4096);
    CHECK_THROWS_AS(write_file_atomically(path, std::string(100'000, 'x')), Error);
  }
  CHECK(read_file(path) == "old");
  CHECK(entries(directory.path()) == 1);
}

TEST_CASE("a target that is a directory is an error, and nothing is left", "[files]") {
  TempDir directory(fs::temp_directory_path(), "klp-files-test");
  fs::create_directory(directory.path() / "d");
  CHECK_THROWS_WITH(write_file_atomically(directory.path() / "d", "x"), Catch::Contains("/d"));
  CHECK(entries(directory.path()) == 1);
}

TEST_CASE("missing files and directories are named", "[files]") {
  CHECK_THROWS_WITH(read_file("/nonexistent/a"), Catch::Contains("/nonexistent/a") && Catch::Contains("No such file"));
  CHECK_THROWS_WITH(write_file_atomically("/nonexistent/a", "x"), Catch::Contains("/nonexistent/a"));
  CHECK_THROWS_WITH(sha256_file("/nonexistent/a"), Catch::Contains("/nonexistent/a"));
}

// May fail: libstdc++'s stream buffer throws its own exception when it reads a directory, and read_file hands it on.
TEST_CASE("a directory is not read as a file", "[files]") {
  CHECK_THROWS_AS(read_file(fs::temp_directory_path()), Error);
}

TEST_CASE("a directory has no digest", "[files]") {
  CHECK_THROWS_AS(sha256_file(fs::temp_directory_path()), Error);
}

TEST_CASE("SHA-256", "[files]") {
  // FIPS 180-2, appendix B.1.
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  TempDir directory(fs::temp_directory_path(), "klp-files-test");
  const std::string big(3'000'001, 'q');
  write_file_atomically(directory.path() / "big", big);
  CHECK(sha256_file(directory.path() / "big") == sha256_hex(big));
}

TEST_CASE("temporary directories go with all they hold, unless kept", "[files]") {
  fs::path gone, kept;
  TempDir parent(fs::temp_directory_path(), "klp-files-test");
  {
    TempDir a(parent.path() / "made", "x"), b(parent.path(), "y");
    gone = a.path();
    kept = b.path();
    fs::create_directories(a.path() / "deep/er");
    write_file_atomically(a.path() / "deep/er/file", "x");
    b.keep();
    CHECK(a.path() != b.path());
  }
  CHECK_FALSE(fs::exists(gone));
  CHECK(fs::exists(kept));
}

TEST_CASE("a lock can be taken again after its scope", "[files]") {
  TempDir directory(fs::temp_directory_path(), "klp-files-test");
  for (int i = 0; i < 2; ++i) FileLock lock(directory.path() / "lock");
  CHECK_THROWS_AS(FileLock(directory.path() / "none/lock"), Error);
}
