// What livepatches do in the running kernel, seen by commands in the guest before, with the patch, and after it is
// gone.
#include <catch2/catch.hpp>

#include <cstdio>

#include "module_pair.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

TEST_CASE("a changed string", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("meminfo-string");
  const auto result = run_livepatch(livepatch, commands({"head -n 2 /proc/meminfo"}));
  const auto& said = result.outputs.at(0);
  CHECK_THAT(said.before, StartsWith("MemTotal: ") && Contains("\nMemFree: "));
  CHECK_THAT(said.patched, StartsWith("MEMTOTAL: ") && Contains("\nMemFree: "));
  CHECK_THAT(said.after, StartsWith("MemTotal: "));
}

TEST_CASE("a static function whose name occurs several times", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("same-named-function");
  CHECK(livepatch.units.at(0).replaced == std::set<std::string>{"m_show"});
  const auto result = run_livepatch(
      livepatch, commands({"head -n 1 /proc/self/mounts", "head -n 1 /proc/modules; grep -c right /proc/modules"}));
  const auto& mounts = result.outputs.at(0);
  CHECK_THAT(mounts.before, !Contains("right"));
  CHECK(mounts.patched == "right " + mounts.before);
  CHECK(mounts.after == mounts.before);
  // The other m_show: /proc/modules has the livepatch itself in it.
  CHECK_THAT(result.outputs.at(1).patched, StartsWith(livepatch.name + " ") && Contains("\n0\n"));
}

TEST_CASE("a new function with new static data", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("new-function-new-data");
  const auto check =
      commands({"cat /proc/uptime", "tail -n 1 /proc/uptime", "for i in 1 2 3; do tail -n 1 /proc/uptime; done"});
  for (int round = 0; round < 2; ++round) {  // a second life counts from the start again
    const auto result = run_livepatch(livepatch, check);
    CHECK_THAT(result.outputs.at(0).before, !Contains("read"));
    // The wait for the end of the transition reads the file as well.
    unsigned first = 0, second = 0;
    const std::string& text = result.outputs.at(0).patched;
    REQUIRE(text.find("read ") != std::string::npos);
    REQUIRE(std::sscanf(text.c_str() + text.find("read "), "read %u", &first) == 1);
    REQUIRE(std::sscanf(result.outputs.at(1).patched.c_str(), "read %u", &second) == 1);
    CHECK(first < 100);
    CHECK(second == first + 1);
    CHECK_THAT(result.outputs.at(2).patched, Contains(fmt::format("read {}: the further one", first + 4)));
    CHECK_THAT(result.outputs.at(0).after, !Contains("read"));
  }
}

TEST_CASE("unexported functions and data of vmlinux", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("unexported-symbols");
  const auto result =
      run_livepatch(livepatch, commands({"cat /proc/cmdline /proc/loadavg; grep processes /proc/stat"}));
  const auto& said = result.outputs.at(0);
  CHECK_THAT(said.before, !Contains("threads"));
  CHECK_THAT(said.after, !Contains("threads"));
  const size_t line = said.patched.find("threads ");
  REQUIRE(line != std::string::npos);
  INFO(said.patched);
  int threads = 0, processes = 0, total = 0;
  unsigned long forks = 0, counted = 0;
  REQUIRE(std::sscanf(said.patched.c_str() + line, "threads %d processes %d forks %lu", &threads, &processes, &forks) ==
          3);
  REQUIRE(std::sscanf(said.patched.c_str() + said.patched.find('/', said.patched.find('\n', line)), "/%d", &total) ==
          1);
  REQUIRE(std::sscanf(said.patched.c_str() + said.patched.rfind("processes "), "processes %lu", &counted) == 1);
  CHECK(std::abs(threads - total) < 5);    // the kernel starts and ends threads of its own
  CHECK(std::abs(processes - total) < 5);  // and hardly any process here has several
  CHECK(forks <= counted);
  CHECK(forks + 10 > counted);
}

TEST_CASE("a patch over two files", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("two-files");
  CHECK(livepatch.units.size() == 2);
  const auto result = run_livepatch(livepatch, commands({"cat /proc/uptime", "uname -r"}));
  const auto& said = result.outputs.at(0);
  CHECK_THAT(said.before, !Contains("release"));
  CHECK_THAT(said.patched, Contains("\nrelease " + result.outputs.at(1).patched));
  CHECK_THAT(said.after, !Contains("release"));
}

TEST_CASE("a function of a module", "[vm][machine]") {
  const Livepatch& livepatch = Suite::get().livepatch("module-function");
  CHECK(livepatch.units.at(0).object == module_to_patch().name);
  const ModuleToPatch module = module_to_patch();
  SECTION("that is loaded before the patch") {
    auto check = commands({module.read, "awk '$2 == \"zram\" { print $1 }' /proc/devices"});
    check.modules_before = {module.name};
    const auto result = run_livepatch(livepatch, check);
    CHECK(result.outputs.at(0).before == module.before);
    std::string major = result.outputs.at(1).patched;
    REQUIRE((module.name == "zram") == !major.empty());
    if (!major.empty()) major.pop_back();
    CHECK(result.outputs.at(0).patched == module.patched_start + major + module.known);
    CHECK(result.outputs.at(0).after == module.before);
  }
  SECTION("that is loaded after it") {
    auto check = commands({module.read});
    check.modules_after = {module.name};
    const auto result = run_livepatch(livepatch, check);
    CHECK(result.outputs.at(0).before_status != 0);
    CHECK_THAT(result.outputs.at(0).patched, StartsWith(module.patched_start) && Contains(module.known));
    CHECK(result.outputs.at(0).after == module.before);
  }
}

TEST_CASE("a patched module leaves and returns three times", "[vm][reload][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("module-function");
  auto check = commands({"cat /sys/block/zram0/initstate"});
  check.modules_before = {"zram"};
  std::vector<std::string> said;
  ReadBackResult memory;
  check.while_patched = [&](vm::Vm& vm) {
    for (int life = 1; life <= 3; ++life) {
      said.push_back(vm.run("rmmod zram || exit 1; [ ! -e /sys/block/zram0 ] || exit 2\n"
                            "modprobe zram 2>/dev/null || exit 3; cat /sys/block/zram0/initstate")
                         .output);
      const ReadBackResult now = read_back_now(livepatch);
      memory.differences.insert(memory.differences.end(), now.differences.begin(), now.differences.end());
      memory.references += now.references;
    }
  };
  const auto result = run_livepatch(livepatch, check);
  const std::string patched = result.outputs.at(0).patched;
  CHECK_THAT(patched, StartsWith("state 0 major "));
  CHECK(said == std::vector<std::string>(3, patched));
  CHECK(memory.differences == std::vector<std::string>());
  CHECK(memory.references > 0);
  CHECK(result.outputs.at(0).after == "0\n");
}

TEST_CASE("two static variables of one name keep their values", "[vm]") {
  const std::string patch = GENERATE(std::string("third-before"), std::string("third-after"));
  CAPTURE(patch);
  const ModulePair pair("klp_two_statics", patch);
  const auto made = pair.livepatch();
  const Livepatch& livepatch = *made;
  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(pair.module());
  REQUIRE(machine.run("insmod /klp_two_statics.ko").status == 0);
  const std::string read = "cd /sys/module/klp_two_statics/parameters && cat first && cat first && cat second";
  const auto result = run_livepatch(livepatch, commands({read}));
  CHECK(result.outputs.at(0).before == "first 101\nfirst 102\nsecond 501\n");
  CHECK(result.outputs.at(0).patched == "FIRST 103 third 901\nFIRST 104 third 902\nsecond 502\n");
  CHECK(result.outputs.at(0).after == "first 105\nfirst 106\nsecond 503\n");
  CHECK(machine.run("rmmod klp_two_statics").status == 0);
}
