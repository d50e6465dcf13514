#include "elf/symvers.h"

#include <catch2/catch.hpp>

#include "support/files.h"

using namespace klp;

namespace {

elf::Exports read(std::string_view content) {
  const TempDir directory(fs::temp_directory_path(), "klp-symvers-test");
  write_file_atomically(directory.path() / "Module.symvers", content);
  return elf::read_symvers(directory.path() / "Module.symvers");
}

}  // namespace

TEST_CASE("the fields of Module.symvers", "[symvers]") {
  // The texts outlive the file and the table that was copied from.
  const elf::Exports exports =
      elf::Exports(read("0x1234abcd\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"
                        "0x00000001\tnf_x\tnet/netfilter/nf-nat-core\tEXPORT_SYMBOL_GPL\tA_SPACE\n"
                        "0x00000002\tprintk\tsecond\tEXPORT_SYMBOL\t\n"
                        "0x00000003\tlast\tvmlinux\tEXPORT_SYMBOL_GPL"));
  REQUIRE(exports.size() == 3);
  const elf::Export& first = exports.find("printk")->second;
  CHECK((first.crc == 0x1234abcd && first.module == "vmlinux" && !first.gpl_only && first.name_space.empty()));
  const elf::Export& second = exports.find("nf_x")->second;
  CHECK((second.module == "nf_nat_core" && second.gpl_only && second.name_space == "A_SPACE"));
  CHECK(exports.find("last")->second.gpl_only);
  CHECK(exports.find("las") == exports.end());
}

TEST_CASE("a line that is none is named, as is a file without any", "[symvers]") {
  CHECK_THROWS_WITH(read("0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\nrubbish\n"),
                    Catch::Contains("line 2") && Catch::Contains("'rubbish'"));
  CHECK_THROWS_WITH(read("0x1\ta\tvmlinux\n"), Catch::Contains("line 1"));
  CHECK_THROWS_WITH(read("0x1\ta\tvmlinux\tEXPORT_SYMBOL\n\n"), Catch::Contains("line 2"));
  CHECK_THROWS_WITH(read(""), Catch::Contains("no symbol"));
}

TEST_CASE("exports may be added by hand", "[symvers]") {
  elf::Exports exports;
  exports[std::string("printk")] = {1, "vmlinux", false, ""};
  exports["printk"].gpl_only = true;
  REQUIRE(exports.size() == 1);
  CHECK((exports.find("printk")->second.crc == 1 && exports.find("printk")->second.gpl_only));
}
