// Entries of the kernel's tables that a livepatch brings along, each seen at work: the kernel follows it, or rewrites
// the code that it names.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <set>
#include <sstream>

#include "guest_view.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::Matches;
using Catch::Matchers::StartsWith;

namespace {

/// Reads /proc/version as a task of that name; prints it.
std::string read_version_as(const std::string& name) {
  return "(printf " + name + " >/proc/self/comm; while read -r line; do echo \"$line\"; done </proc/version)";
}

std::vector<std::string> lines_with(const std::string& text, const std::string& part) {
  std::vector<std::string> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(part) != std::string::npos) result.push_back(line);
  }
  return result;
}

/// The function names of a call trace, innermost first, without those that the kernel only guesses ("? ").
std::vector<std::string> reliable_trace(const std::string& messages) {
  std::vector<std::string> result;
  bool inside = false;
  std::istringstream lines(messages);
  for (std::string line; std::getline(lines, line);) {
    const std::string words(vm::without_time(line));
    if (words == "Call Trace:") inside = true;
    if (words.find("</TASK>") != std::string::npos) inside = false;
    const size_t plus = words.find("+0x");
    if (!inside || plus == std::string::npos || words.starts_with(" ? ") || words.starts_with("RIP:")) continue;
    result.push_back(words.substr(1, plus - 1) + (words.find(" [livepatch_") == std::string::npos ? "" : " patched"));
  }
  return result;
}

size_t place(const std::vector<std::string>& list, const std::string& what) {
  return static_cast<size_t>(std::find(list.begin(), list.end(), what) - list.begin());
}

uint64_t vmlinux_address(const std::string& name) {
  const elf::Symbol* symbol = Suite::get().vmlinux().maybe_global(name);
  check(symbol != nullptr, "vmlinux has no {}", name);
  return symbol->value;
}

/// Targets of what looks like a direct call in a carried function, as its code is in memory now.
std::set<uint64_t> calls_in(GuestView& guest, const std::string& module, const std::string& function) {
  constexpr size_t kSize = 1024;  // at least the function's
  const uint64_t address = guest.module_symbols(module).at(function).front();
  const std::vector<std::byte> code = guest.memory(address, kSize);
  std::set<uint64_t> result;
  for (size_t i = 0; i + 5 <= code.size(); ++i) {
    int32_t distance = 0;
    std::memcpy(&distance, &code[i + 1], sizeof(distance));
    if (code[i] == std::byte{0xe8})
      result.insert(address + i + 5 + static_cast<uint64_t>(static_cast<int64_t>(distance)));
  }
  return result;
}

}  // namespace

TEST_CASE("a warning in patched code", "[vm][tables][machine]") {
  const Livepatch& livepatch = Suite::get().livepatch("warning");
  const size_t line = patched_line("warning", "fs/proc/version.c", "WARN_ON(");
  auto check = commands({"cat /proc/version"});
  std::string said, messages;
  check.while_patched = [&](vm::Vm& vm) {
    said = vm.run(read_version_as("warner")).output;
    messages = vm.new_kernel_messages();  // taken here, so that the warning is no trouble
  };
  const auto result = run_livepatch(livepatch, check);
  CHECK_THAT(result.outputs.at(0).patched, Contains("checked reader\n"));
  CHECK_THAT(said, Contains("checked reader\n"));  // a warning, no more
  INFO(messages);
  const auto warnings = lines_with(messages, "WARNING: ");
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings.front(), Contains(fmt::format(" at fs/proc/version.c:{} version_check_reader+0x", line)) &&
                                   Contains("[livepatch_warning]"));
  if (!Suite::get().is_x86()) return;  // which tells the reliable part of a trace in its own way
  const auto trace = reliable_trace(messages);
  const size_t patched = place(trace, "version_proc_show patched"), caller = place(trace, "seq_read_iter");
  INFO(fmt::format("{}", fmt::join(trace, ", ")));
  REQUIRE(patched < trace.size());
  CHECK(caller == patched + 1);
  CHECK(place(trace, "vfs_read") < place(trace, "do_syscall_64"));
  CHECK_THAT(trace.back(), StartsWith("entry_SYSCALL_64"));
}

TEST_CASE("user addresses that lead nowhere", "[vm][tables]") {
  const Livepatch& livepatch = Suite::get().livepatch("bad-user-pointer");
  const std::string told = "; dmesg | grep -o 'filldir64: .*\\|futex_wake_op: .*'", forget = "dmesg -c >/dev/null; ";
  const auto result = run_livepatch(livepatch, commands({forget + "/probe getdents; /probe futex" + told,
                                                         forget + "/probe getdents-right; /probe futex-right" + told}));
  const auto& wrong = result.outputs.at(0);
  CHECK(wrong.before == "-14\n-14\n");
  CHECK_THAT(wrong.patched, Matches("-14\n-14\nfilldir64: [^ ]* cannot be stored\n"
                                    "futex_wake_op: the operation gives -14\n"));
  CHECK(wrong.after == wrong.before);
  const auto& right = result.outputs.at(1);
  CHECK(right.before == "entries\n0 42\n");
  CHECK(right.patched == right.before);
}

TEST_CASE("a static branch on a key of vmlinux", "[vm][tables]") {
  const Livepatch& livepatch = Suite::get().livepatch("static-branch");
  const std::string set =
      Suite::get().is_x86() ? "/proc/sys/kernel/sched_schedstats" : "/proc/sys/net/core/high_order_alloc_disable";
  const std::string ask = "head -n 1 /proc/version | cut -d ' ' -f 1-2";
  const std::string on = "echo 1 >" + set + "; " + ask, off = "echo 0 >" + set + "; " + ask;
  vm::Vm& machine = Suite::get().machine();
  REQUIRE(machine.run(on).status == 0);  // on when the livepatch is loaded, and at the end of each list of commands
  const auto result = run_livepatch(livepatch, commands({ask, off, on, off, on}));
  for (const auto& said : result.outputs) CHECK_THAT(said.before, StartsWith("Linux version"));
  CHECK(result.outputs.at(0).patched == "statistics on\n");
  CHECK(result.outputs.at(1).patched == "off\n");
  CHECK(result.outputs.at(2).patched == "statistics on\n");
  CHECK(result.outputs.at(3).patched == "off\n");
  CHECK(result.outputs.at(4).patched == "statistics on\n");
  for (const auto& said : result.outputs) CHECK(said.after == said.before);  // the key forgets the sites that are gone
  CHECK(machine.run(off).status == 0);
}

TEST_CASE("static calls with keys of vmlinux", "[vm][tables][x86]") {
  if (Suite::get().vmlinux().maybe_global("__SCK__cond_resched") == nullptr) {
    WARN("not run: in this kernel only tracepoints have static calls (see the case of a tracepoint)");
    return;
  }
  const Livepatch& livepatch = Suite::get().livepatch("static-call");
  // Each costs seconds: the kernel rewrites thousands of calls, one by one.
  const auto under = [](const std::string& mode) {
    return "echo " + mode + " >/sys/kernel/debug/sched/preempt && head -n 1 /proc/version";
  };
  vm::Vm& machine = Suite::get().machine();
  REQUIRE(machine.run(under("full")).status == 0);  // both are turned off when the livepatch is loaded
  auto check = commands({"head -n 1 /proc/version"});
  std::vector<std::string> said;
  std::vector<std::set<uint64_t>> calls;
  check.while_patched = [&](vm::Vm& vm) {
    for (const char* mode : {"voluntary", "none"}) {
      said.push_back(vm.run(under(mode)).output);
      GuestView guest(vm);
      calls.push_back(calls_in(guest, livepatch.name, "version_proc_show"));
    }
  };
  const auto result = run_livepatch(livepatch, check);
  CHECK_THAT(result.outputs.at(0).before, StartsWith("Linux version"));
  CHECK(result.outputs.at(0).patched == "cond 0 might 0\n");
  CHECK(said == std::vector<std::string>{"cond 1 might 1\n", "cond 1 might 0\n"});
  // A site that the kernel does not know would give the same answers, by way of the trampoline.
  REQUIRE(calls.size() == 2);
  for (const auto& targets : calls) {
    CHECK(targets.count(vmlinux_address("__cond_resched")) == 1);
    CHECK(targets.count(vmlinux_address("__SCT__cond_resched")) == 0);
    CHECK(targets.count(vmlinux_address("__SCT__might_resched")) == 0);
  }
  CHECK(result.outputs.at(0).after == result.outputs.at(0).before);
  // As the kernel booted; the keys forget the sites that are gone.
  CHECK_THAT(machine.run(under("voluntary")).output, StartsWith("Linux version"));
  CHECK(vm::trouble_in(machine.new_kernel_messages()).empty());
}

TEST_CASE("a static key and a static call of the patch's own", "[vm][tables][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("own-keys");
  const std::string ask = "head -n 1 /proc/version";
  const auto result = run_livepatch(livepatch, commands({ask, read_version_as("toggle") + " | head -n 1", ask}));
  CHECK(result.outputs.at(0).patched == "key 0 call 1\n");
  CHECK(result.outputs.at(1).patched == "key 1 call 2\n");
  CHECK(result.outputs.at(2).patched == "key 1 call 2\n");
  CHECK_THAT(result.outputs.at(2).after, StartsWith("Linux version"));
}

TEST_CASE("alternatives", "[vm][tables][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("alternatives");
  const std::string features = R"(for f in hypervisor fsgsbase erms popcnt avx512f cqm; do
  grep -qw "^flags.*[[:space:]]$f" /proc/cpuinfo && echo $f 1 1 || echo $f 0 0
done)";
  auto check = commands({"head -n 8 /proc/version", features});
  std::set<uint64_t> calls;
  check.while_patched = [&](vm::Vm& vm) {
    GuestView guest(vm);
    calls = calls_in(guest, livepatch.name, "version_show_alternatives");
  };
  const auto result = run_livepatch(livepatch, check);
  const std::string known = result.outputs.at(1).patched;
  CHECK_THAT(known, Contains(" 1 1\n") && Contains(" 0 0\n"));
  CHECK(result.outputs.at(0).patched == known + "weight right\npage clear\n");
  // QEMU's -cpu max has both features, so neither compiled call is left.
  REQUIRE_THAT(known, Contains("erms 1 1\n") && Contains("popcnt 1 1\n"));
  CHECK(calls.count(vmlinux_address("clear_page_erms")) == 1);
  CHECK(calls.count(vmlinux_address("clear_page_orig")) == 0);
  CHECK(calls.count(vmlinux_address("__sw_hweight64")) == 0);
}

TEST_CASE("a tracepoint in patched code", "[vm][tables]") {
  const Livepatch& livepatch = Suite::get().livepatch("tracepoint");
  const std::string rename = "(printf given >/proc/self/comm; read -r name </proc/self/comm; echo $name)\n";
  const std::string to = "/sys/kernel/tracing/events/task/task_rename/enable\n";
  const std::string show = "grep -o 'newcomm=given' /sys/kernel/tracing/trace; echo >/sys/kernel/tracing/trace\n";
  const std::string on = "echo 1 >" + to, off = "echo 0 >" + to;
  vm::Vm& machine = Suite::get().machine();
  REQUIRE(machine.run(on + show).status == 0);  // on when the livepatch is loaded, and after each list of commands
  const auto result = run_livepatch(livepatch, commands({rename + show, off + rename + show, on + rename + show}));
  for (const auto& said : result.outputs) {
    const std::string event = &said == &result.outputs.at(1) ? "" : "newcomm=given\n";
    CHECK(said.before == "given\n" + event);
    CHECK(said.patched == "taken\n" + event);
    CHECK(said.after == said.before);
  }
  CHECK(machine.run(off).status == 0);
}

TEST_CASE("pr_debug switched on", "[vm][tables]") {
  const Livepatch& livepatch = Suite::get().livepatch("debug-message");
  const size_t line = patched_line("debug-message", "fs/proc/version.c", "pr_debug(");
  const std::string control = "/proc/dynamic_debug/control", word = " version_proc_show ";
  const std::string read =
      "dmesg -c >/dev/null; " + read_version_as("debugger") + " >/dev/null; dmesg | grep -o 'version is read.*'\n";
  const auto result =
      run_livepatch(livepatch, commands({"grep '" + livepatch.name + "' " + control, read,
                                         "echo 'func version_proc_show +p' >" + control + "; " + read,
                                         "echo 'func version_proc_show -p' >" + control + "; " + read}));
  const auto& listed = result.outputs.at(0);
  CHECK(listed.before.empty());
  CHECK_THAT(listed.patched,
             StartsWith(fmt::format("fs/proc/version.c:{} [{}]version_proc_show =_ \"version is read by", line,
                                    livepatch.name)));
  CHECK(lines_with(listed.patched, "version.c").size() == 1);
  CHECK(listed.after.empty());
  CHECK(result.outputs.at(1).patched.empty());
  CHECK_THAT(result.outputs.at(2).patched, StartsWith("version is read by debugger\n"));
  CHECK(result.outputs.at(3).patched.empty());
}

TEST_CASE("what modules that the kernel ships switch in patched functions", "[vm][tables][keys][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("module-events");
  vm::Vm& machine = Suite::get().machine();
  const auto disk = machine.run(
      "modprobe loop && mkdir -p /mnt && dd if=/dev/zero of=/disk bs=1M count=16 2>&1 && losetup /dev/loop0 /disk");
  INFO(disk.output);
  REQUIRE(disk.status == 0);
  const std::string tracing = "/sys/kernel/tracing/", event = tracing + "events/xfs/xfs_buf_get_uncached/enable; ";
  const std::string mount =
      "dmesg -c >/dev/null; for type in xfs squashfs; do mount -t $type /dev/loop0 /mnt 2>&1 | sed 's/.*: //'; done; "
      "grep -c ' xfs_buf_get_uncached: ' " +
      tracing + "trace; echo >" + tracing +
      "trace; dmesg | grep -c 'patched: a buffer'; dmesg | grep -o 'SQUASHFS: Entered squashfs_fill_superblock'\n";
  const auto switched = [&](const char* trace, const char* debug) {
    return fmt::format("echo {} >{}echo 'func squashfs_fill_super {}p' >/proc/dynamic_debug/control; {}", trace, event,
                       debug, mount);
  };
  auto check = commands({switched("1", "+"), switched("0", "-"), switched("1", "+"), switched("0", "-")});
  check.modules_before = {"xfs", "squashfs"};
  const auto result = run_livepatch(livepatch, check);
  for (size_t i = 0; i < result.outputs.size(); ++i) {
    const auto& said = result.outputs[i];
    const std::string buffers = i % 2 == 0 ? "1\n" : "0\n";
    const std::string message = i % 2 == 0 ? "SQUASHFS: Entered squashfs_fill_superblock\n" : "";
    CHECK(said.before == "Invalid argument\nInvalid argument\n" + buffers + "0\n" + message);
    CHECK(said.patched == "Invalid argument\nNumerical argument out of domain\n" + buffers + "1\n" + message);
    CHECK(said.after == said.before);
  }
  CHECK(machine.run("losetup -d /dev/loop0; rm /disk; rmmod loop").status == 0);
}

TEST_CASE("the cold part of a patched function", "[vm][tables][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("cold-part");
  REQUIRE(livepatch.units.at(0).functions.count("version_proc_show.cold") == 1);  // so the read-back looks at it
  const auto result = run_livepatch(
      livepatch, commands({"dmesg -c >/dev/null; " + read_version_as("freezer") + "; dmesg | grep -o 'version: .*'",
                           read_version_as("cooker")}));
  const auto& cold = result.outputs.at(0);
  CHECK_THAT(cold.before, StartsWith("Linux version ") && !Contains("cold"));
  CHECK_THAT(cold.patched, StartsWith("cold\nLinux version ") && Contains("\nversion: it is cold here, Linux\n"));
  CHECK(cold.after == cold.before);
  CHECK(result.outputs.at(1).patched == result.outputs.at(1).before);
}
