// Run-time constants: from 6.11 on the kernel writes the values of some variables into its own code while it boots. Our
// modules do the same with the code that they bring. Kernels without them have none to compare, and behave alike.
#include <catch2/catch.hpp>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

bool has_constants() {
  return Suite::get().vmlinux().maybe_global("__start_runtime_ptr_USER_PTR_MAX") != nullptr;
}

/// The module with a table of constants that ends where it begins: its init writes none.
std::string without_filling(const Livepatch& livepatch) {
  const elf::ElfObject module = elf::ElfObject::read(livepatch.file);
  std::string bytes = read_file(livepatch.file);
  const elf::Section& symbols = *module.maybe_section(".symtab");
  const auto start = static_cast<size_t>(symbols.data.data() - module.bytes().data());
  size_t changed = 0;
  for (const elf::Symbol* end : module.symbols_named("klp_diff_constants_end")) {
    constexpr size_t symbol_size = 24, value_offset = 8;
    bytes.replace(start + end->index * symbol_size + value_offset, 8, std::string(8, '\0'));
    ++changed;
  }
  REQUIRE(changed == 1);
  return bytes;
}

}  // namespace

TEST_CASE("patched functions with run-time constants", "[vm][constants][machine]") {
  const Livepatch& livepatch = Suite::get().livepatch("run-time-constants");
  vm::LivepatchCheck check = commands({"dd if=/proc/version bs=7777 count=1", "/probe read-far",
                                       "mkdir -p /tmp/klp-seen; mkdir /tmp/klp-seen; rmdir /tmp/klp-seen; "
                                       "dmesg -c | grep -c '__d_lookup found it'"});
  size_t constants = 0;
  if (Suite::get().can_read_back())
    check.while_patched = [&](vm::Vm&) { constants = read_back_now(livepatch).constants; };
  const auto result = run_livepatch(livepatch, check);
  CHECK(constants == (has_constants() ? 3 : 0));
  CHECK_THAT(result.outputs.at(0).before, Contains("Linux version"));
  CHECK_THAT(result.outputs.at(0).patched, Contains("No data available"));
  CHECK(result.outputs.at(1).patched == "-14\n");
  CHECK(result.outputs.at(1).patched == result.outputs.at(1).before);
  CHECK_THAT(result.outputs.at(2).before, EndsWith("\n0\n"));
  CHECK_FALSE(EndsWith("\n0\n").match(result.outputs.at(2).patched));
  CHECK(result.outputs.at(2).after == result.outputs.at(2).before);
}

TEST_CASE("a patched function that looks at user addresses", "[vm][constants]") {
  const Livepatch& livepatch = Suite::get().livepatch("futex-key");
  const auto result =
      run_livepatch(livepatch, commands({"/probe futex-odd", "/probe futex-far", "/probe futex-right"}));
  CHECK(result.outputs.at(0).before == "-22\n");
  CHECK(result.outputs.at(0).patched == "-84\n");
  CHECK(result.outputs.at(0).after == "-22\n");
  for (const size_t same : {1, 2}) CHECK(result.outputs.at(same).patched == result.outputs.at(same).before);
  CHECK(result.outputs.at(1).patched == "-14\n");
}

TEST_CASE("the read-back sees a run-time constant that nobody filled in", "[vm][constants][read-back][x86]") {
  if (!has_constants()) return;
  const Livepatch& livepatch = Suite::get().livepatch("futex-key");
  const fs::path file = Suite::get().directory("unfilled") / livepatch.file.filename();
  write_file_atomically(file, without_filling(livepatch));
  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(file);
  ReadBackResult memory;
  vm::LivepatchCheck check = commands({"/probe futex-odd", "/probe futex-far"});
  check.modules = {file};
  check.while_patched = [&](vm::Vm&) { memory = read_back_now(livepatch); };
  const auto result = vm::check_livepatch(machine, check);
  INFO(result.failure + "\n" + result.console_tail);
  REQUIRE(result.good);
  CHECK(result.outputs.at(0).patched == "-84\n");
  CHECK(result.outputs.at(1).patched == "0\n");  // the address is below the placeholder
  REQUIRE(memory.differences.size() == 1);
  CHECK_THAT(
      memory.differences.front(),
      Contains("get_futex_key+") && Contains("the constant in memory is 0x123456789abcdef, global USER_PTR_MAX"));
}
