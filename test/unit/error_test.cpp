#include "support/error.h"

#include <catch2/catch.hpp>

#include "support/bytes.h"

using namespace klp;

namespace {

/// Not inlined: the compiler would warn of the reads that must fail.
[[gnu::noinline]] std::vector<std::byte> five_bytes() {
  return {std::byte{1}, std::byte{2}, std::byte{0}, std::byte{0}, std::byte{'x'}};
}

}  // namespace

TEST_CASE("context is put in front, outermost first", "[error]") {
  try {
    with_context("reading a.o", [] { with_context("section .text", [] { fail("bad index {}", 99); }); });
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "reading a.o: section .text: bad index 99");
    CHECK(error.hint().empty());
    CHECK(error.status() == ExitStatus::failed);
  }
}

TEST_CASE("hint and status travel with the error", "[error]") {
  try {
    with_context("outer", [] { throw Error("inner", "do this", ExitStatus::refused); });
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.hint() == "do this");
    CHECK(error.status() == ExitStatus::refused);
  }
}

TEST_CASE("with_context hands on the body's value, also a reference", "[error]") {
  int value = 3;
  int& same = with_context("x", [&]() -> int& { return value; });
  same = 4;
  CHECK(value == 4);
}

TEST_CASE("check throws only when its condition fails", "[error]") {
  CHECK_NOTHROW(check(true, "never {}", 1));
  CHECK_THROWS_WITH(check(false, "seen {}", 1), "seen 1");
}

TEST_CASE("byte readers keep to their range", "[bytes]") {
  const std::vector<std::byte> bytes = five_bytes();
  CHECK(read_le<uint16_t>(bytes, 0) == 0x0201);
  CHECK(read_le<uint32_t>(bytes, 1) == 0x78000002);
  CHECK_THROWS_AS(read_le<uint32_t>(bytes, 2), Error);
  CHECK_THROWS_AS(read_le<uint8_t>(bytes, 5), Error);
  CHECK_THROWS_AS(read_le<uint8_t>(bytes, UINT64_MAX), Error);
  CHECK(slice(bytes, 4, 1).size() == 1);
  CHECK(slice(bytes, 5, 0).empty());
  CHECK_THROWS_AS(slice(bytes, 1, UINT64_MAX), Error);
  CHECK(read_c_string(bytes, 0) == "\x01\x02");
  CHECK(read_c_string(bytes, 3).empty());
  CHECK_THROWS_WITH(read_c_string(bytes, 4), Catch::Contains("no end"));
  CHECK_THROWS_AS(read_c_string(bytes, 5), Error);
}
