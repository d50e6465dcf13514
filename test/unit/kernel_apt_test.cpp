#include <catch2/catch.hpp>

#include "kernel/apt.h"

namespace klp::kernel {
namespace {

TEST_CASE("versions are ordered by the value of their numbers", "[apt]") {
  CHECK(natural_less("6.1.0-9-amd64", "6.1.0-56-amd64"));
  CHECK_FALSE(natural_less("6.1.0-56-amd64", "6.1.0-9-amd64"));
  CHECK(natural_less("6.1.176-1", "6.1.192-1"));
  CHECK(natural_less("6.1.192-1", "6.1.192-2"));
  CHECK_FALSE(natural_less("6.1.192-2", "6.1.192-2"));
  CHECK(natural_less("6.1", "6.1.1"));
  CHECK_FALSE(natural_less("6.1.007", "6.1.7"));
}

TEST_CASE("package records are read; what cannot be downloaded is left out", "[apt]") {
  const std::string digest(64, 'a');
  const std::string text =
      "Package: linux-source-6.1\nVersion: 6.1.192-2\nArchitecture: all\nDescription: x\n Version: 9\nSize: "
      "139331676\nSHA256: " +
      digest +
      "\nDepends: binutils, xz-utils\n\nPackage: linux-source-6.1\nStatus: install ok installed\nVersion: 6.1.1-1\n\n"
      "Package: p\nVersion: 1:2-3\nArchitecture: amd64\nSize: 5\nSHA256: " +
      digest;
  const std::vector<PackageVersion> records = parse_package_records(text);
  REQUIRE(records.size() == 2);
  CHECK(records[0].version == "6.1.192-2");
  CHECK(records[0].size == 139331676);
  CHECK(records[0].depends == "binutils, xz-utils");
  CHECK(records[0].file_name() == "linux-source-6.1_6.1.192-2_all.deb");
  CHECK(records[1].file_name() == "p_1%3a2-3_amd64.deb");
  CHECK(parse_package_records("").empty());
}

TEST_CASE("a full disk is recognised in program output", "[apt]") {
  CHECK(tells_full_disk("E: Failed to fetch x  write (28: No space left on device)"));
  CHECK_FALSE(tells_full_disk("E: Unable to locate package"));
}

}  // namespace
}  // namespace klp::kernel
