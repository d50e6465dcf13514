// The kernel unwinds the stacks of sleeping tasks through patched code: it does so itself before it lets a task over
// to another livepatch, and anyone can look at /proc/PID/stack. What it needs for that is in the module's .orc_unwind
// and .orc_unwind_ip.
#include <catch2/catch.hpp>

#include <elf.h>

#include <cstring>
#include <sstream>

#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// Starts a task that sleeps in version_wait, and waits until it does: no unwinding tells, but that a read() does not
/// let it go. Its number is in /tmp/sleeper.
constexpr const char* kSleep = R"sh(
rm -f /tmp/woken
(printf sleeper >/proc/self/comm
 read -r line </proc/version
 echo "$line" >/tmp/waking; mv /tmp/waking /tmp/woken) </dev/null >/dev/null 2>&1 &
echo $! >/tmp/sleeper
until grep -q sleeper /proc/$!/comm && grep -q '^State:.*D' /proc/$!/status && grep -q '^0 ' /proc/$!/syscall; do
  usleep 50000
done
cat /proc/$!/stack)sh";

constexpr const char* kWake = R"sh(
(printf waker >/proc/self/comm; read -r line </proc/version)
until [ -e /tmp/woken ]; do usleep 50000; done
cat /tmp/woken)sh";

/// Loads the second livepatch and waits until every task but the sleeper is over. Prints the state then.
std::string load_second(const std::string& name) {
  return "read -r sleeper </tmp/sleeper\nsecond=" + name + R"sh(
insmod /$second.ko || exit 1
others() { for t in /proc/[0-9]*/task/*; do
  case $t in */$sleeper) ;; *) cat $t/patch_state 2>/dev/null ;; esac
done; }
while [ "$(cat /sys/kernel/livepatch/$second/transition)" = 1 ] && others | grep -qv '^1'; do usleep 100000; done
echo transition $(cat /sys/kernel/livepatch/$second/transition) sleeper $(cat /proc/$sleeper/patch_state))sh";
}

std::string finish_second(const std::string& name) {
  return "second=" + name + R"sh(
dir=/sys/kernel/livepatch/$second
until [ "$(cat $dir/transition)" = 0 ]; do usleep 50000; done
(printf refused >/proc/self/comm; read -r line </proc/version || echo refused)
echo 0 >$dir/enabled
while [ -e $dir ]; do usleep 50000; done
until rmmod $second 2>/dev/null; do usleep 50000; done
(printf refused >/proc/self/comm; read -r line </proc/version && echo read))sh";
}

struct Night {
  std::string stack, loaded, woken, finished;
};

/// Nothing wrong with the stack that the kernel shows: from version_wait to the system call's entry, each in its turn.
bool is_full_stack(const std::string& stack) {
  std::vector<std::string> names;
  std::istringstream lines(stack);
  for (std::string line; std::getline(lines, line);) {
    if (line.find('?') != std::string::npos || !line.starts_with("[<0>] ")) return false;
    names.push_back(line.substr(6, line.find('+') - 6));
  }
  const std::vector<std::string> wanted = {
      "version_wait",
      "version_proc_show",
      "seq_read_iter",
      "vfs_read",
      "ksys_read",
      "do_syscall_64",
      "entry_SYSCALL_64_after_hwframe",
  };
  for (const char* inlined : {"proc_reg_read_iter", "new_sync_read"}) std::erase(names, inlined);  // in some kernels
  return names == wanted;
}

/// The header of a section of an ELF file in memory; null when there is none of that name.
Elf64_Shdr* find_section(std::string& file, const std::string& name) {
  auto* header = reinterpret_cast<Elf64_Ehdr*>(file.data());
  auto* sections = reinterpret_cast<Elf64_Shdr*>(file.data() + header->e_shoff);
  const char* names = file.data() + sections[header->e_shstrndx].sh_offset;
  for (size_t i = 0; i < header->e_shnum; ++i) {
    if (name == names + sections[i].sh_name) return &sections[i];
  }
  return nullptr;
}

}  // namespace

// POWER's reliable stack traces (6.1) have livepatch_handler in the place of the caller of a redirected function: the
// kernel itself lets a task over that sleeps below seq_read_iter, although the second livepatch changes it.
TEST_CASE("a task asleep in a patched function", "[vm][unwind][x86]") {
  const Livepatch& first = Suite::get().livepatch("sleeper");
  const Livepatch& second = Suite::get().livepatch("sleeper-caller", false);
  Suite::get().machine().copy_in(second.file);
  vm::LivepatchCheck check;
  Night night;
  ReadBackResult memory;
  check.while_patched = [&](vm::Vm& vm) {
    night.stack = vm.run(kSleep).output;
    night.loaded = vm.run(load_second(second.name), std::chrono::seconds(120)).output;
    memory = read_back_now(second);
    night.woken = vm.run(kWake).output;
    night.finished = vm.run(finish_second(second.name), std::chrono::seconds(120)).output;
  };
  run_livepatch(first, check);
  INFO(night.stack);
  CHECK(is_full_stack(night.stack));
  CHECK_THAT(night.stack, Contains("version_wait+") && Contains("[" + first.name + "]\n"));
  CHECK(night.loaded == "transition 1 sleeper 0\n");  // all others are over, it is not
  CHECK(night.woken == "slept\n");
  CHECK(night.finished == "refused\nread\n");
  CHECK(memory.differences == std::vector<std::string>());
  CHECK(memory.functions > 0);
}

TEST_CASE("without its unwind tables a stack is not full", "[vm][unwind][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("sleeper");
  std::string bytes = read_file(livepatch.file);
  for (const char* name : {".orc_unwind", ".orc_unwind_ip", ".rela.orc_unwind_ip"}) {
    Elf64_Shdr* section = find_section(bytes, name);
    REQUIRE(section != nullptr);
    REQUIRE(section->sh_size > 0);
    section->sh_size = 0;
  }
  const fs::path file = Suite::get().directory("without-orc") / livepatch.file.filename();
  write_file_atomically(file, bytes);
  vm::Vm& machine = Suite::get().machine();
  machine.copy_in(file);
  vm::LivepatchCheck check;
  check.modules = {file};
  Night night;
  check.while_patched = [&](vm::Vm& vm) {
    night.stack = vm.run(kSleep).output;
    night.woken = vm.run(kWake).output;
  };
  const auto result = vm::check_livepatch(machine, check);
  INFO(result.failure + "\n" + result.console_tail);
  REQUIRE(result.good);
  INFO(night.stack);
  CHECK(night.woken == "slept\n");
  CHECK_FALSE(is_full_stack(night.stack));
}
