#include <catch2/catch.hpp>

#include "elf/btf.h"
#include "support/files.h"

namespace klp::elf {
namespace {

TEST_CASE("files that are no ELF are an Error that names the file", "[btf]") {
  const TempDir directory(fs::temp_directory_path(), "btf");
  const fs::path file = directory.path() / "vmlinux";
  for (const char* content : {"", "hello",
                              "\x7f"
                              "ELF"}) {
    write_file_atomically(file, content);
    CHECK_THROWS_WITH(read_image_facts(file), Catch::Contains(file.string()));
    CHECK_THROWS_WITH(struct_sizes(file, {"module"}), Catch::Contains(file.string()));
  }
  CHECK_THROWS_WITH(read_image_facts(directory.path() / "none"), Catch::Contains("No such file"));
}

TEST_CASE("a program that is no kernel has symbols and no release", "[btf]") {
  const ImageFacts facts = read_image_facts("/proc/self/exe");
  CHECK(facts.machine == 62);
  CHECK(facts.has_symbols);
  CHECK(facts.release.empty());
}

}  // namespace
}  // namespace klp::elf
