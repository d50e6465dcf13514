// One livepatch (with few klp symbols: the kernel walks kallsyms for each, slow in an emulator) enabled and disabled
// again and again while two tasks run the function that it replaces: on two processors where the VM has them.
#include <catch2/catch.hpp>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;

namespace {

constexpr const char* kLoad = R"sh(
rm -f /tmp/stop
for i in 1 2; do
  (while [ ! -e /tmp/stop ]; do cat /proc/uptime; done) </dev/null >/dev/null 2>&1 &
done)sh";

/// Lives of the livepatch in the guest, without the host between; prints what goes wrong.
std::string lives(const std::string& name, const std::string& file, unsigned count) {
  return fmt::format(R"sh(
fail() {{ echo "round $round: $1"; exit 1; }}
wait_for() {{
  n=0
  until eval "$1"; do n=$((n+1)); [ $n -gt 4000 ] && fail "waited for $1"; usleep 50000; done
}}
dir=/sys/kernel/livepatch/{0}
for round in $(seq {2}); do
  insmod /{1} || fail insmod
  wait_for '[ "$(cat $dir/transition)" = 0 ]'
  [ "$(grep -c release /proc/uptime)" = 1 ] || fail "the old behaviour: $(cat /proc/uptime)"
  echo 0 >$dir/enabled || fail disable
  wait_for '[ ! -d $dir ]'
  wait_for 'rmmod {0} 2>/tmp/rmmod'
  [ "$(grep -c release /proc/uptime)" = 0 ] || fail "the new behaviour: $(cat /proc/uptime)"
done
echo "$round rounds")sh",
                     name, file, count);
}

}  // namespace

TEST_CASE("enabled and disabled 20 times under load", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("two-files");
  vm::Vm& machine = Suite::get().machine();
  REQUIRE(machine.run(kLoad).status == 0);
  vm::LivepatchCheck check;
  check.commands = {"grep -c release /proc/uptime"};
  const auto first = run_livepatch(livepatch, check);  // with read-back
  CHECK(first.outputs.at(0).patched == "1\n");

  // 60 s on an idle machine; the limit is there for a guest that hangs, not for a slow host.
  const auto rest =
      machine.run(lives(livepatch.name, livepatch.file.filename().string(), 19), std::chrono::seconds(900));
  machine.run("touch /tmp/stop");
  const std::string messages = machine.new_kernel_messages();
  INFO(rest.output << messages);
  CHECK(rest.status == 0);
  CHECK(rest.output == "19 rounds\n");
  CHECK(vm::trouble_in(messages).empty());
}
