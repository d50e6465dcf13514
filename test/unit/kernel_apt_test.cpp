#include <catch2/catch.hpp>

#include "kernel/apt.h"
#include "kernel/settle.h"
#include "support/error.h"

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

TEST_CASE("other suites are read from the mirrors that the system's sources name", "[apt]") {
  const std::string system =
      "https://other.example/debian trixie Docker\nhttp://m.example/debian/ trixie Debian\n"
      "http://m.example/debian/ trixie-updates Debian\nhttp://s.example/sec/ trixie-security Debian\n";
  const std::string text = suite_sources_text(system, {"bullseye", "bullseye-security"});
  CHECK_THAT(text, Catch::Contains("URIs: http://m.example/debian/\nSuites: bullseye\n"));
  CHECK_THAT(text, Catch::Contains("URIs: http://s.example/sec/\nSuites: bullseye-security\n"));
  CHECK_THAT(text, !Catch::Contains("other.example"));
  CHECK_THAT(text, Catch::Contains("Check-Valid-Until: no\n"));
}

TEST_CASE("before the lists were ever fetched their origin is unknown: the address decides", "[apt]") {
  const std::string system =
      "http://a.example/tools stable $(ORIGIN)\nhttp://m.example/debian bookworm $(ORIGIN)\n"
      "http://m.example/debian-security bookworm-security $(ORIGIN)\n";
  CHECK_THAT(suite_sources_text(system, {"bullseye"}),
             Catch::StartsWith("Types: deb\nURIs: http://m.example/debian\n"));
  CHECK(suite_sources_text("http://a.example/tools stable $(ORIGIN)\n", {"bullseye"}).empty());
  CHECK(suite_sources_text("http://m.example/debian bookworm Debian\n", {"bullseye"}).empty());
}

TEST_CASE("a kernel's name says its series, flavour, release and architecture", "[apt]") {
  const DebianName exact = parse_name("debian:5.10.0-43-cloud-amd64");
  CHECK(exact.series == "5.10");
  CHECK(exact.flavour == "cloud-amd64");
  CHECK(exact.release == "5.10.0-43-cloud-amd64");
  CHECK(exact.architecture() == "amd64");
  CHECK(parse_name("debian:6.12.115+deb12-cloud-amd64").release == "6.12.115+deb12-cloud-amd64");
  CHECK(parse_name("debian:6.1-amd64").release.empty());
  CHECK(parse_name("debian:6.1-powerpc64le").architecture() == "ppc64el");
  CHECK(parse_name("debian:6.12-cloud-arm64").architecture() == "arm64");
  CHECK(parse_name("debian:6.1-686-pae").architecture() == "i386");
  CHECK_THROWS_AS(parse_name("6.1-amd64"), Error);
  CHECK_THROWS_AS(parse_name("debian:6.1"), Error);
}

}  // namespace
}  // namespace klp::kernel
