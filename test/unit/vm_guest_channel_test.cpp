#include <catch2/catch.hpp>

#include "vm/guest_channel.h"

using namespace klp::vm;

TEST_CASE("a command is one line, whatever is in it", "[vm]") {
  CHECK(command_line(7, "echo a") == "7 echo a\n");
  CHECK(command_line(1, "a\nb\tc\\n\r") == "1 a\\nb\\tc\\\\n\\r\n");
  CHECK_THROWS_AS(command_line(1, std::string("a\0b", 3)), klp::Error);
}

TEST_CASE("base64, against RFC 4648", "[vm]") {
  CHECK(base64_encode("") == "");
  CHECK(base64_encode("f") == "Zg==");
  CHECK(base64_encode("fo") == "Zm8=");
  CHECK(base64_encode("foo") == "Zm9v");
  CHECK(base64_encode("foobar") == "Zm9vYmFy");
  CHECK(base64_decode("Zm9v\nYg==\n") == "foob");
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(base64_decode(base64_encode(all)) == all);
  CHECK_THROWS_AS(base64_decode("Zm9*"), klp::Error);
}

TEST_CASE("an answer is taken when all of it is there", "[vm]") {
  const std::string whole = "noise\nklp-begin 12 127\nZm9v\nYmFy\nklp-end 12\n";
  for (size_t n = 0; n < whole.size(); ++n) CHECK_FALSE(find_answer(whole.substr(0, n), 12).has_value());
  const auto answer = find_answer(whole, 12);
  REQUIRE(answer.has_value());
  CHECK(answer->status == 127);
  CHECK(answer->output == "foobar");
  CHECK_FALSE(find_answer(whole, 1).has_value());
  CHECK_FALSE(find_answer(whole, 2).has_value());
  CHECK(find_answer("klp-begin 3 0\nklp-end 3\n", 3)->output.empty());
  CHECK_THROWS_AS(find_answer("klp-begin 3 x\nklp-end 3\n", 3), klp::Error);
  CHECK_THROWS_AS(find_answer("klp-begin 3 0\n!!\nklp-end 3\n", 3), klp::Error);
}

TEST_CASE("the guest is ready when it says so on a line", "[vm]") {
  CHECK_FALSE(is_ready("klp-rea"));
  CHECK_FALSE(is_ready("klp-ready"));
  CHECK(is_ready("\x02\nklp-ready\n"));
}

TEST_CASE("a file is put with its encoded size", "[vm]") {
  CHECK(put_lines(4, "x.ko", "foob") == "put 4 8 x.ko\nZm9vYg==");
}
