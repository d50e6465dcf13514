#include <catch2/catch.hpp>

#include "kernel/index.h"
#include "support/files.h"

using namespace klp;

TEST_CASE("struct sizes are read without the units, and are the index's", "[index]") {
  const TempDir directory(fs::temp_directory_path(), "klp-struct-sizes-test");
  kernel::Kernel kernel;
  kernel.cache = directory.path();
  write_file_atomically(directory.path() / "includes", "a.h\t0\n");
  write_file_atomically(directory.path() / "index",
                        "klp-diff-index 2\nstruct\talt_instr\t12\nstruct\tbug_entry\t14\n"
                        "unit\tfs/a.o\tfs/a.c\tvmlinux\tgcc -c fs/a.c\n");
  const auto sizes = kernel::read_struct_sizes(kernel);
  CHECK(sizes == std::map<std::string, uint64_t>{{"alt_instr", 12}, {"bug_entry", 14}});
  CHECK(sizes == kernel::KernelIndex::open(kernel).struct_sizes());
  write_file_atomically(directory.path() / "index", "klp-diff-index 2\nstruct\talt_instr\n");
  CHECK_THROWS_WITH(kernel::read_struct_sizes(kernel), Catch::Contains("damaged"));
}
