// The read-back itself: it must see a reference that was bound to another symbol of the same name.
#include <catch2/catch.hpp>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;

TEST_CASE("the read-back sees a wrong sympos", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("same-named-function");
  // As by hand: /proc/mounts' m_start is the second of three; the third is as good for the livepatch core.
  std::string bytes = read_file(livepatch.file);
  const std::string right = ".klp.sym.vmlinux.m_start,2", wrong = ".klp.sym.vmlinux.m_start,3";
  const size_t at = bytes.find(right);
  REQUIRE(at != std::string::npos);
  bytes.replace(at, right.size(), wrong);
  REQUIRE(bytes.find(right) == std::string::npos);
  const fs::path file = Suite::get().directory("wrong-sympos") / livepatch.file.filename();
  write_file_atomically(file, bytes);

  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(file);
  ReadBackResult memory;
  vm::LivepatchCheck check;
  check.modules = {file};
  check.commands = {"head -n 1 /proc/self/mounts"};
  check.while_patched = [&](vm::Vm&) { memory = read_back_now(livepatch); };
  const auto result = vm::check_livepatch(machine, check);
  INFO(result.failure + "\n" + result.console_tail);
  REQUIRE(result.good);  // the kernel has nothing against it
  CHECK_THAT(result.outputs.at(0).patched, Catch::Matchers::StartsWith("wrong "));
  REQUIRE(memory.differences.size() == 1);
  CHECK_THAT(memory.differences.front(),
             Catch::Matchers::StartsWith("m_show+") && Catch::Matchers::Contains("m_start of vmlinux (namespace.c)"));
}
