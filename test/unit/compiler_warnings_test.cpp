#include "kernel/compiler_warnings.h"

#include <catch2/catch.hpp>

namespace klp::test {

using List = std::vector<std::string>;

TEST_CASE("a warning that only the patched unit gives is reported once, without its line") {
  const char* patched =
      "fs/x.c: In function 'f':\n"
      "fs/x.c:12:3: warning: makes pointer from integer without a cast [-Wint-conversion]\n"
      "   12 |   g(1);\n"
      "      |     ^\n"
      "      |     int\n"
      "fs/x.c:19:3: warning: makes pointer from integer without a cast [-Wint-conversion]\n"
      "fs/x.c: At top level:\n"
      "fs/x.c:30:12: warning: 'old' defined but not used [-Wunused-function]\n";
  const char* original = "fs/x.c:28:12: warning: 'old' defined but not used [-Wunused-function]\n";
  CHECK(kernel::new_warnings(patched, original) ==
        List{"fs/x.c: in function 'f': warning: makes pointer from integer without a cast [-Wint-conversion]"});
  CHECK(kernel::new_warnings(patched, patched).empty());
}

TEST_CASE("the same warning in another function is another one") {
  const char* patched = "fs/x.c: In function 'g':\nfs/x.c:9:1: warning: w\n";
  const char* original = "fs/x.c: In function 'f':\nfs/x.c:9:1: warning: w\n";
  CHECK(kernel::new_warnings(patched, original) == List{"fs/x.c: in function 'g': warning: w"});
}

TEST_CASE("objtool's warnings count") {
  const char* patched = "fs/x.o: warning: objtool: f+0x12: unreachable instruction\n";
  CHECK(kernel::new_warnings(patched, "").size() == 1);
  CHECK(kernel::new_warnings("ok\n", "").empty());
}

}  // namespace klp::test
