// State and entrances: per-cpu variables, system calls, and pointers to patched functions that outlive the livepatch.
#include <catch2/catch.hpp>

#include <cstdio>
#include <sstream>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::StartsWith;

namespace {

struct Asked {
  unsigned cpu = 0;
  int task = 0, by = 0;
  unsigned long count = 0;
  long own = 0;
};

std::vector<Asked> asked_in(const std::string& messages) {
  std::vector<Asked> result;
  std::istringstream lines(messages);
  for (std::string line; std::getline(lines, line);) {
    Asked a;
    if (std::sscanf(line.c_str(), "inodes: cpu %u of task %d: asked %lu by %d, own %ld", &a.cpu, &a.task, &a.count,
                    &a.by, &a.own) == 5)
      result.push_back(a);
  }
  return result;
}

}  // namespace

TEST_CASE("per-cpu variables", "[vm][lasting]") {
  if (Suite::get().lacks("HOTPLUG_CPU")) return;
  const Livepatch& livepatch = Suite::get().livepatch("per-cpu");
  const std::string ask = "taskset {} dd if=/proc/sys/fs/inode-nr bs=4k count=1 2>/dev/null\n";
  const std::string first = fmt::format(fmt::runtime(ask), 1), second = fmt::format(fmt::runtime(ask), 2);
  auto check = commands({first});
  std::string said;
  check.while_patched = [&](vm::Vm& vm) {
    const std::string all = "online=/sys/devices/system/cpu/cpu1/online; was=$(cat $online); echo 1 >$online\n" +
                            first + first + second + first + "dmesg | grep -o 'inodes: .*'; echo $was >$online";
    said = vm.run("dmesg -c >/dev/null\n" + all).output;
  };
  const auto result = run_livepatch(livepatch, check);
  INFO(said);
  long total = 0, after = 0;
  REQUIRE(std::sscanf(said.c_str(), "%ld", &total) == 1);
  CHECK(total > 100);
  const std::vector<Asked> asked = asked_in(said);
  REQUIRE(asked.size() == 4);
  // Each processor has its own count, from the variable's first value; the first was asked once before.
  const unsigned long counts[] = {1002, 1003, 1001, 1004};
  for (size_t i = 0; i < asked.size(); ++i) {
    CHECK(asked[i].cpu == (i == 2 ? 1 : 0));
    CHECK(asked[i].count == counts[i]);
    CHECK(asked[i].by == asked[i].task);
    CHECK(asked[i].task > 1);
  }
  // The processors' parts of the kernel's own number make up the sum that it shows.
  CHECK(std::abs(asked[2].own + asked[3].own - total) < 100);
  REQUIRE(std::sscanf(result.outputs.at(0).after.c_str(), "%ld", &after) == 1);
  CHECK(std::abs(after - total) < 100);
}

TEST_CASE("a function ends with a call that does not return", "[vm][lasting]") {
  const Livepatch& livepatch = Suite::get().livepatch("exit-code");
  const auto result = run_livepatch(livepatch, commands({"sh -c 'exit 78'; echo $?; sh -c 'exit 7'; echo $?"}));
  CHECK(result.outputs.at(0).before == "78\n7\n");
  CHECK(result.outputs.at(0).patched == "87\n7\n");
  CHECK(result.outputs.at(0).after == "78\n7\n");
}

TEST_CASE("the body of a system call", "[vm][lasting]") {
  const Livepatch& livepatch = Suite::get().livepatch("system-call");
  // The entrances of 64-bit and of 32-bit programs, each with the body inlined.
  const bool x86 = Suite::get().is_x86();
  CHECK(livepatch.units.at(0).replaced ==
        (x86 ? std::set<std::string>{"__x64_sys_personality", "__ia32_sys_personality"}
             : std::set<std::string>{"sys_ppc64_personality"}));
  const auto result =
      run_livepatch(livepatch, commands({"/probe personality 0x0badcafe", "/probe personality 0xffffffff"}));
  CHECK(result.outputs.at(0).before == "0\n");
  CHECK(result.outputs.at(0).patched == "-18\n");
  CHECK(result.outputs.at(0).after == "0\n");
  CHECK(result.outputs.at(1).patched == "0\n");
}

TEST_CASE("a pointer to a patched function that outlives the livepatch", "[vm][lasting]") {
  const Livepatch& livepatch = Suite::get().livepatch("stored-pointer");
  CHECK(livepatch.units.at(0).replaced == std::set<std::string>{"stat_open", "show_stat"});
  auto check = commands({"head -n 1 /proc/stat"});
  bool opened = false;
  check.while_patched = [&](vm::Vm& vm) {
    opened = vm.run(R"sh(
rm -f /tmp/opened /tmp/go /tmp/said
(exec 3</proc/stat; : >/tmp/opened
 until [ -e /tmp/go ]; do usleep 50000; done
 head -n 1 <&3 >/tmp/saying; mv /tmp/saying /tmp/said) </dev/null >/dev/null 2>&1 &
until [ -e /tmp/opened ]; do usleep 50000; done)sh")
                 .status == 0;
  };
  const auto result = run_livepatch(livepatch, check);  // at its end the module is unloaded
  CHECK(opened);
  CHECK_THAT(result.outputs.at(0).before, StartsWith("cpu  "));
  CHECK_THAT(result.outputs.at(0).patched, StartsWith("patched cpu  "));
  vm::Vm& machine = Suite::get().machine();
  CHECK(machine.run("grep -c " + livepatch.name + " /proc/modules").output == "0\n");
  CHECK_THAT(machine.run("touch /tmp/go; until [ -e /tmp/said ]; do usleep 50000; done; cat /tmp/said").output,
             StartsWith("cpu  "));
  CHECK(vm::trouble_in(machine.new_kernel_messages()).empty());
}

TEST_CASE("a module whose address escapes stays loaded", "[vm][lasting]") {
  // The check demands that the guest refuses to unload the disabled module: whoever has the address finds it there.
  const auto result = run_livepatch(Suite::get().livepatch("escaping-address"), commands({"head -c 13 /proc/version"}));
  REQUIRE(result.outputs.size() == 1);
  CHECK(result.outputs[0].after == "Linux version");
}
