// Trouble in kernel messages: lines as real kernels printed them.
#include <catch2/catch.hpp>

#include "vm/vm.h"

using klp::vm::trouble_in;
using klp::vm::without_time;

TEST_CASE("an ordinary livepatch's life is no trouble", "[vm]") {
  const std::string messages =
      "[    3.347936] livepatch_sample: loading out-of-tree module taints kernel.\n"
      "[    3.348260] livepatch_sample: tainting kernel with TAINT_LIVEPATCH\n"
      "[    3.350442] livepatch_sample: module verification failed: signature and/or required key missing - tainting "
      "kernel\n"
      "[    3.417647] livepatch: enabling patch 'livepatch_sample'\n"
      "[    3.431387] livepatch: 'livepatch_sample': starting patching transition\n"
      "[    5.164202] livepatch: 'livepatch_sample': patching complete\n"
      "[    6.000000] livepatch: applying patch 'livepatch_sample' to loading module 'xfs'\n"
      "[    2.344963] Unstable clock detected, switching default tracing clock to \"global\"\n"
      "[    0.100000] Kernel command line: console=ttyS0 oops=panic\n";
  CHECK(trouble_in(messages).empty());
  CHECK(trouble_in("").empty());
}

TEST_CASE("each kind of the kernel's own reports is trouble", "[vm]") {
  const char* line =
      GENERATE("[   29.261754] WARNING: CPU: 0 PID: 1246 at /tmp/warns.c:5 lp_cmdline+0x15/0xff0 [warns]",
               "[   31.313014] BUG: kernel NULL pointer dereference, address: 0000000000000008",
               "[   31.314314] Oops: 0002 [#1] PREEMPT SMP NOPTI",
               "[   37.268331] Kernel panic - not syncing: panics on purpose",
               "[   40.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cat:99]",
               "[  242.000000] INFO: task cat:99 blocked for more than 120 seconds.",
               "[   21.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
               "[    1.000000] general protection fault, probably for non-canonical address 0xdead000000000108: 0000 "
               "[#1] PREEMPT SMP",
               "[    1.000000] Call Trace:", "WARNING: without a time",
               "[   12.027729] livepatch: symbol 'no_such_function' not found in symbol table",
               "[   12.027729] livepatch: failed to initialize patch 'x' for module 'y' (-22)",
               "[   12.027729] livepatch: unresolvable ambiguity for symbol 'show' in object 'vmlinux'");
  CAPTURE(line);
  const auto trouble = trouble_in(std::string("[    0.1] fine\n") + line + "\n[    9.9] fine too\n");
  REQUIRE(trouble.size() == 1);
  CHECK(trouble[0] == line);
}

TEST_CASE("words inside other words, and names of patches, are no trouble", "[vm]") {
  CHECK(trouble_in("[ 1.0] DEBUG: all is well\n").empty());
  CHECK(trouble_in("[ 1.0] livepatch: enabling patch 'fix_error_when_failed'\n").empty());
  CHECK(trouble_in("[ 1.0] livepatch: 'error': patching complete\n").empty());
  CHECK(trouble_in("[ 1.0] livepatch: 'error': pre-patch callback failed for object 'vmlinux'\n").size() == 1);
}

TEST_CASE("a message's time is cut off, and nothing else", "[vm]") {
  CHECK(without_time("[   12.5] a [b] c") == "a [b] c");
  CHECK(without_time("no time [ 1.0] here") == "no time [ 1.0] here");
  CHECK(without_time("[unclosed") == "[unclosed");
}
