// The read-back itself: it must see a reference that was bound to another symbol, and code that is not as compiled.
// Each case makes a module that is wrong in one place; the kernel has nothing against any of them.
#include <catch2/catch.hpp>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// Replaces the one `right` by `wrong`, of the same length.
std::string replaced(std::string bytes, const std::string& right, const std::string& wrong) {
  REQUIRE(right.size() == wrong.size());
  const size_t at = bytes.find(right);
  REQUIRE(at != std::string::npos);
  bytes.replace(at, right.size(), wrong);
  REQUIRE(bytes.find(right) == std::string::npos);
  return bytes;
}

struct WrongLife {
  std::string said;
  ReadBackResult memory;
};

/// Loads a module with other bytes instead of the livepatch, and reads back what should be there.
WrongLife live_with(const Livepatch& livepatch, const std::string& bytes, const std::string& command) {
  const fs::path file = Suite::get().directory("wrong-" + livepatch.name) / livepatch.file.filename();
  write_file_atomically(file, bytes);
  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(file);
  WrongLife life;
  vm::LivepatchCheck check = commands({command});
  check.modules = {file};
  check.while_patched = [&](vm::Vm&) { life.memory = read_back_now(livepatch); };
  const auto result = vm::check_livepatch(machine, check);
  INFO(result.failure + "\n" + result.console_tail);
  REQUIRE(result.good);
  life.said = result.outputs.at(0).patched;
  return life;
}

}  // namespace

TEST_CASE("the read-back sees a wrong sympos", "[vm][read-back]") {
  if (Suite::get().lacks("PROC_KCORE")) return;
  const Livepatch& livepatch = Suite::get().livepatch("same-named-function");
  // As by hand: /proc/mounts' m_start is the second of three; the third is as good for the livepatch core.
  const std::string bytes =
      replaced(read_file(livepatch.file), ".klp.sym.vmlinux.m_start,2", ".klp.sym.vmlinux.m_start,3");
  const WrongLife life = live_with(livepatch, bytes, "head -n 1 /proc/self/mounts");
  CHECK_THAT(life.said, StartsWith("wrong "));
  REQUIRE(life.memory.differences.size() == 1);
  CHECK_THAT(life.memory.differences.front(), StartsWith("m_show+") && Contains("m_start of vmlinux (namespace.c)"));
}

TEST_CASE("the read-back sees a wrong per-cpu variable", "[vm][read-back]") {
  if (Suite::get().lacks("PROC_KCORE")) return;
  const Livepatch& livepatch = Suite::get().livepatch("per-cpu");
  const std::string bytes =
      replaced(read_file(livepatch.file), ".klp.sym.vmlinux.nr_inodes,", ".klp.sym.vmlinux.nr_unused,");
  const WrongLife life = live_with(livepatch, bytes, "cat /proc/sys/fs/inode-nr");
  INFO(life.said);
  REQUIRE_FALSE(life.memory.differences.empty());  // gcc 10 needs two references, gcc 12 one
  for (const std::string& difference : life.memory.differences)
    CHECK_THAT(difference, StartsWith("proc_nr_inodes+") && Contains("nr_inodes of vmlinux (inode.c)"));
}

TEST_CASE("the read-back sees a wrong byte in a cold part", "[vm][read-back][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("cold-part");
  const elf::ElfObject module = elf::ElfObject::read(livepatch.file);
  std::string bytes = read_file(livepatch.file);
  size_t parts = 0;
  for (const elf::Symbol& symbol : module.symbols()) {
    if (symbol.name != "version_proc_show.cold") continue;
    ++parts;
    const std::byte* code = symbol.section->data.data() + symbol.value;
    bytes[static_cast<size_t>(code - module.bytes().data())] ^= 1;  // the first instruction's: nothing runs it here
  }
  REQUIRE(parts == 1);
  const WrongLife life = live_with(livepatch, bytes, "cat /proc/version");
  CHECK_THAT(life.said, StartsWith("Linux version "));
  REQUIRE(life.memory.differences.size() == 1);
  CHECK_THAT(life.memory.differences.front(), StartsWith("version_proc_show.cold+0x0: the byte in memory is "));
}
