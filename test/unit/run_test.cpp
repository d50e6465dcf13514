#include "support/run.h"

#include <catch2/catch.hpp>

#include <csignal>

using namespace klp;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST_CASE("status and output of a program", "[run]") {
  const RunResult result = run({"sh", "-c", "echo out; echo err >&2; exit 3"});
  CHECK(result.status == 3);
  CHECK(result.output == "out\nerr\n");
  CHECK_FALSE(result.timed_out);
}

TEST_CASE("the error stream apart", "[run]") {
  RunOptions options;
  options.merge_output = false;
  const RunResult result = run({"sh", "-c", "echo out; echo err >&2"}, options);
  CHECK(result.output == "out\n");
  CHECK(result.error_output == "err\n");
}

TEST_CASE("input of any size reaches the program, and output of any size comes back", "[run]") {
  RunOptions options;
  for (int i = 0; i < 200'000; ++i) options.input += "line\n";
  const RunResult result = run({"cat"}, options);
  CHECK(result.status == 0);
  CHECK(result.output == options.input);
}

TEST_CASE("a program that does not read its input does not hold us up", "[run]") {
  RunOptions options;
  options.input = std::string(1'000'000, 'x');
  std::signal(SIGPIPE, SIG_IGN);
  CHECK(run({"true"}, options).status == 0);
}

TEST_CASE("without input, the program reads an end", "[run]") {
  CHECK(run({"cat"}).output.empty());
}

TEST_CASE("directory and environment", "[run]") {
  RunOptions options;
  options.directory = "/";
  options.environment = {{"KLP_TEST", "a b"}};
  CHECK(run({"sh", "-c", "pwd; echo \"$KLP_TEST $LC_ALL\""}, options).output == "/\na b C\n");
}

TEST_CASE("a missing program is an error that names it", "[run]") {
  CHECK_THROWS_WITH(run({"klp-no-such-program"}), Catch::Contains("klp-no-such-program"));
  CHECK_THROWS_WITH(run({"/nonexistent/program"}), Catch::Contains("/nonexistent/program"));
  CHECK_FALSE(find_program("klp-no-such-program"));
  CHECK(find_program("sh"));
}

TEST_CASE("a program over its time is ended, with its children", "[run]") {
  RunOptions options;
  options.time_limit = 1s;
  const auto start = Clock::now();
  const RunResult result = run({"sh", "-c", "echo before; sleep 20 & sleep 20; wait"}, options);
  CHECK(result.timed_out);
  CHECK(result.status != 0);
  CHECK(result.output == "before\n");
  CHECK(Clock::now() - start < 10s);
}

TEST_CASE("a program ended by a signal has status 128 and more", "[run]") {
  CHECK(run({"sh", "-c", "kill -KILL $$"}).status == 137);
}

TEST_CASE("run_checked shows the last lines", "[run]") {
  CHECK(run_checked({"echo", "x"}) == "x\n");
  try {
    run_checked({"sh", "-c", "for i in $(seq 1 40); do echo line-$i; done; exit 7"});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK_THAT(error.what(),
               Catch::Contains("status 7") && Catch::Contains("line-40") && !Catch::Contains("line-20\n"));
  }
}
