// Changes that cannot be redirected themselves, in force through the functions that use them.
#include <catch2/catch.hpp>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("the body of a system call is carried by its entry functions", "[vm][lifting]") {
  const Livepatch& livepatch = Suite::get().livepatch("lifted-syscall");
  CHECK(livepatch.units.at(0).replaced ==
        (Suite::get().is_x86() ? Names{"__ia32_sys_newuname", "__x64_sys_newuname"} : Names{"sys_newuname"}));
  const auto result = run_livepatch(livepatch, commands({"uname -v"}));
  const auto& said = result.outputs.at(0);
  CHECK_THAT(said.before, StartsWith("#"));
  CHECK(said.patched == "!" + said.before.substr(1));
  CHECK(said.after == said.before);
}

TEST_CASE("a function of lib/ is carried by its callers in another file", "[vm][lifting]") {
  const Livepatch& livepatch = Suite::get().livepatch("lifted-library");
  REQUIRE(livepatch.units.size() == 2);
  CHECK(livepatch.units.at(0).replaced == Names{"seq_put_decimal_ll", "seq_put_decimal_ull_width"});
  CHECK(livepatch.units.at(1).replaced.empty());
  const auto result = run_livepatch(livepatch, commands({"grep FDSize /proc/self/status"}));
  const auto& said = result.outputs.at(0);
  CHECK(said.before == "FDSize:\t64\n");
  CHECK(said.patched == "FDSize:\t46\n");
  CHECK(said.after == "FDSize:\t64\n");
}

// On POWER a register that held the address may still hold it at a call, whose arguments nobody counts.
TEST_CASE("a changed table of strings is carried by its readers", "[vm][lifting][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("lifted-strings");
  CHECK(livepatch.units.at(0).replaced == Names{"do_task_stat", "proc_pid_status"});
  const auto result =
      run_livepatch(livepatch, commands({"grep State /proc/self/status; cut -d' ' -f3 /proc/self/stat"}));
  const auto& said = result.outputs.at(0);
  CHECK(said.before == "State:\tR (running)\nR\n");
  CHECK(said.patched == "State:\tR (RUNNING)\nR\n");
  CHECK(said.after == said.before);
}

TEST_CASE("a changed table of pointers to functions is carried by its readers", "[vm][lifting]") {
  const Livepatch& livepatch = Suite::get().livepatch("lifted-functions");
  CHECK(livepatch.units.at(0).replaced == Names{"mem_devnode", "memory_open"});
  const auto result =
      run_livepatch(livepatch, commands({"head -c 4 /dev/zero | wc -c", "head -c 4 /dev/null | wc -c"}));
  const auto& zero = result.outputs.at(0);
  CHECK_THAT(zero.before, Contains("4"));
  CHECK_THAT(zero.patched, Contains("0"));
  CHECK_THAT(zero.after, Contains("4"));
  CHECK_THAT(result.outputs.at(1).patched, Contains("0"));
}

// On POWER the same, and late references are not for read-only data.
TEST_CASE("a changed table that one function calls through is carried by this one", "[vm][lifting][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("lifted-calls");
  CHECK(livepatch.units.at(0).replaced == Names{"nfsctl_transaction_write"});
  auto check = commands({"cat /proc/fs/nfsd/max_connections"});
  check.modules_before = {"nfsd"};
  REQUIRE(Suite::get().machine().run("modprobe nfsd && mount -t nfsd nfsd /proc/fs/nfsd").status == 0);
  const auto result = run_livepatch(livepatch, check);
  const auto& said = result.outputs.at(0);
  CHECK(said.before == "0\n");
  CHECK(said.patched == "90\n");
  CHECK(said.after == "0\n");
}
