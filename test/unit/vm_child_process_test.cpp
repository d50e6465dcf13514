#include <catch2/catch.hpp>

#include <signal.h>

#include "vm/child_process.h"

using namespace klp::vm;
using namespace std::chrono_literals;

namespace {

/// Receives until the child closes its side or `stop` holds; at most about 5 s.
std::string receive(ChildProcess& child, const std::string& stop = {}) {
  std::string text;
  for (int i = 0; i < 50; ++i) {
    if (!child.receive_some(text, 100ms)) return text;
    if (!stop.empty() && text.find(stop) != std::string::npos) return text;
  }
  return text;
}

}  // namespace

TEST_CASE("a child is talked to and its end is seen", "[vm]") {
  const klp::TempDir directory(klp::fs::temp_directory_path(), "child-test");
  ChildProcess child({"sh", "-c", "read line; echo \"got $line in $(pwd)\"; echo wrong >&2; exit 3"}, directory.path(),
                     "errors");
  CHECK_FALSE(child.status().has_value());
  REQUIRE(child.send_some("hello\n") == 6);
  CHECK(receive(child) == "got hello in " + directory.path().string() + "\n");
  child.end();
  CHECK(child.send_some("x") == 0);
  CHECK(klp::read_file(directory.path() / "errors") == "wrong\n");
}

TEST_CASE("a child that does not end is ended with the object", "[vm]") {
  const klp::TempDir directory(klp::fs::temp_directory_path(), "child-test");
  pid_t pid = 0;
  {
    ChildProcess child({"sh", "-c", "echo $$; exec sleep 1000"}, directory.path(), "errors");
    pid = std::stoi(receive(child, "\n"));
    CHECK(kill(pid, 0) == 0);
  }
  CHECK(kill(pid, 0) != 0);
}

TEST_CASE("end() keeps the status", "[vm]") {
  const klp::TempDir directory(klp::fs::temp_directory_path(), "child-test");
  ChildProcess child({"sleep", "1000"}, directory.path(), "errors");
  child.end();
  CHECK(child.status() == 128 + SIGKILL);
}

TEST_CASE("a child that cannot be started is an error that names the program", "[vm]") {
  const klp::TempDir directory(klp::fs::temp_directory_path(), "child-test");
  CHECK_THROWS_WITH(ChildProcess({"no-such-program"}, directory.path(), "errors"), Catch::Contains("no-such-program"));
}
