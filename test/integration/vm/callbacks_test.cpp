// Callbacks, shadow variables and system states: what the macros for patch authors do in the running kernel.
#include <catch2/catch.hpp>

#include <sstream>

#include "build_pipeline.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Events = std::vector<std::string>;

namespace {

/// What callbacks and the livepatch core said, in order: "pre_patch vmlinux", "starting patching".
Events events(const std::string& messages) {
  Events result;
  std::istringstream lines(messages);
  for (std::string line; std::getline(lines, line);) {
    for (const char* marker : {"told of ", "starting ", "unloading module ", "loading module "}) {
      const size_t at = line.find(marker);
      if (at == std::string::npos) continue;
      const std::string skipped = marker == std::string("told of ") ? marker : "";
      result.push_back(line.substr(at + skipped.size()));
      break;
    }
  }
  return result;
}

vm::LivepatchCheck reading_version() {
  vm::LivepatchCheck check;
  check.commands = {"cat /proc/version"};
  return check;
}

/// The kernel's words when it refuses to load a livepatch; the present state of things must not change.
std::string refused(const Livepatch& livepatch) {
  vm::Vm& machine = Suite::get().machine();
  const std::string state = "ls /sys/kernel/livepatch; cat /proc/version; grep -c . /proc/modules";
  const std::string before = machine.run(state).output;
  machine.copy_in(livepatch.file);
  machine.new_kernel_messages();
  CHECK(machine.run("insmod /" + livepatch.file.filename().string()).status != 0);
  const std::string messages = machine.new_kernel_messages();
  INFO(messages);
  CHECK(machine.run(state).output == before);
  CHECK_THAT(messages, !Contains("WARNING") && !Contains("BUG") && !Contains("Call Trace"));
  return messages;
}

}  // namespace

TEST_CASE("callbacks of vmlinux and of a module, in the documented order", "[vm]") {
  const std::string style = GENERATE(std::string("kpatch"), std::string("klp-build"));
  CAPTURE(style);
  const Livepatch& livepatch = Suite::get().livepatch("callbacks-" + style);
  vm::LivepatchCheck check = reading_version();
  const std::string module = module_to_patch().name;
  const auto said = [](const std::string& kind, const std::string& object) { return kind + " " + object; };
  // Objects with functions come first, and kpatch's patch has one of vmlinux; the others in the order of the units.
  const std::string first = style == "kpatch" ? "vmlinux" : module, second = style == "kpatch" ? module : "vmlinux";
  SECTION("loaded before the livepatch") {
    check.modules_before = {module};
    const auto result = run_livepatch(livepatch, check);
    CHECK(result.outputs.at(0).patched == (style == "kpatch" ? "patched " : "") + result.outputs.at(0).before);
    CHECK(events(result.messages) == Events{said("pre_patch", first), said("pre_patch", second),
                                            "starting patching transition", said("post_patch", first),
                                            said("post_patch", second), said("pre_unpatch", first),
                                            said("pre_unpatch", second), "starting unpatching transition",
                                            said("post_unpatch", first), said("post_unpatch", second)});
  }
  if (style != "kpatch") return;  // what comes is the kernel's doing, the same for both
  SECTION("loaded after it, and gone before it") {
    check.modules_after = {module};
    check.commands = {fmt::format("[ ! -d /sys/module/{0} ] || rmmod {0}", module)};
    const auto result = run_livepatch(livepatch, check);
    CHECK(result.outputs.at(0).patched_status == 0);
    CHECK(events(result.messages) ==
          Events{said("pre_patch", "vmlinux"), "starting patching transition", said("post_patch", "vmlinux"),
                 "loading module '" + module + "'", said("pre_patch", module), said("post_patch", module),
                 said("pre_unpatch", module), "unloading module '" + module + "'", said("post_unpatch", module),
                 said("pre_unpatch", "vmlinux"), "starting unpatching transition", said("post_unpatch", "vmlinux")});
  }
}

TEST_CASE("a pre-patch callback that fails keeps the livepatch out", "[vm]") {
  const std::string messages = refused(Suite::get().livepatch("callback-fails"));
  const Events said = events(messages);
  REQUIRE_FALSE(said.empty());
  for (const std::string& event : said) CHECK(event == "pre_patch vmlinux");  // insmod tries twice
  CHECK_THAT(messages, Contains("pre-patch callback failed for object 'vmlinux'"));
}

TEST_CASE("a pre-patch callback of the second object that fails undoes the first, and nothing else", "[vm]") {
  if (Suite::get().lacks("ZRAM")) return;
  vm::Vm& machine = Suite::get().machine();
  const Livepatch& livepatch = Suite::get().livepatch("callback-fails-second");
  REQUIRE(machine.run("modprobe zram").status == 0);
  const std::string messages = refused(livepatch);
  const Events attempt = {"pre_patch vmlinux", "pre_patch zram", "post_unpatch vmlinux"};
  Events twice = attempt;  // insmod tries twice
  twice.insert(twice.end(), attempt.begin(), attempt.end());
  CHECK(events(messages) == twice);
  CHECK_THAT(messages, Contains("pre-patch callback failed for object 'zram'"));
  CHECK(machine.run("rmmod zram").status == 0);
}

TEST_CASE("a livepatch for each patched object", "[vm][split]") {
  Suite& suite = Suite::get();
  tools::BuildOptions options;
  const std::string module = module_to_patch().name;
  options.kernel = suite.selection();
  options.patches = {patch_file("callbacks-kpatch")};
  options.output = suite.directory("split");
  options.name = "split";
  options.split = true;
  options.replace = false;
  const report::Report report = tools::run_build(options).report;
  REQUIRE(report.outcome == report::Outcome::ok);
  CHECK(report.module->name == "split_" + module);
  REQUIRE(report.further_modules.size() == 1);
  CHECK(report.further_modules.front().name == "split_vmlinux");
  Livepatch of_vmlinux, of_module;
  of_module.name = report.module->name;
  of_module.file = report.module->file;
  of_vmlinux.name = report.further_modules.front().name;
  of_vmlinux.file = report.further_modules.front().file;

  vm::Vm& machine = suite.machine();
  const std::string before = machine.run("cat /proc/version").output;
  machine.new_kernel_messages();
  load(of_module);
  CHECK(machine.run("cat /proc/version").output == before);
  load(of_vmlinux);
  CHECK(machine.run("cat /proc/version; modprobe " + module).output == "patched " + before);
  disable_and_unload(of_module.name);
  CHECK(machine.run("cat /proc/version").output == "patched " + before);
  disable_and_unload(of_vmlinux.name);
  CHECK(machine.run("cat /proc/version; rmmod " + module).output == before);
  const std::string messages = machine.new_kernel_messages();
  CHECK(events(messages) == Events{"starting patching transition", "pre_patch vmlinux", "starting patching transition",
                                   "post_patch vmlinux", "loading module '" + module + "'", "pre_patch " + module,
                                   "post_patch " + module, "pre_unpatch " + module, "starting unpatching transition",
                                   "post_unpatch " + module, "pre_unpatch vmlinux", "starting unpatching transition",
                                   "post_unpatch vmlinux"});
  CHECK(vm::trouble_in(messages).empty());
}

TEST_CASE("shadow variables live until the livepatch goes", "[vm]") {
  const Livepatch& livepatch = Suite::get().livepatch("shadow-variable");
  vm::LivepatchCheck check;
  check.commands = {"head -n 1 /proc/version; head -n 1 /proc/version; head -n 1 /proc/version"};
  for (int round = 0; round < 2; ++round) {  // one that was not freed would go on counting
    const auto result = run_livepatch(livepatch, check);
    CHECK_THAT(result.outputs.at(0).before, !Contains("read"));
    CHECK(result.outputs.at(0).patched == "read 1 note 1\nread 2 note 0\nread 3 note 1\n");
    CHECK_THAT(result.messages, Contains("livepatch: freed a count of 3"));
  }
}

TEST_CASE("a state over an upgrade by atomic replace", "[vm]") {
  Suite& suite = Suite::get();
  const Livepatch& first = suite.livepatch("state-version-1");
  const Livepatch& second = suite.livepatch("state-version-2");
  const Livepatch& without = suite.livepatch("meminfo-string");
  vm::Vm& machine = suite.machine();
  machine.new_kernel_messages();
  const std::string before = machine.run("cat /proc/version").output;

  load(first);
  CHECK(machine.run("cat /proc/version").output == "greeting by 1: set up by version 1\n" + before);
  CHECK_THAT(refused(without), Contains("is not compatible with the already installed livepatches"));
  load(second);
  CHECK(machine.run("cat /proc/version").output == "greeting by 2: set up by version 1\n" + before);
  const std::string upgrade = machine.new_kernel_messages();
  CHECK_THAT(upgrade, Contains("taken over from version 1: set up by version 1") && !Contains("freed by"));
  REQUIRE(machine.run("n=0; until rmmod " + first.name + "; do n=$((n+1)); [ $n = 50 ] && exit 1; usleep 100000; done")
              .status == 0);
  CHECK_THAT(refused(first), Contains("is not compatible with the already installed livepatches"));
  CHECK_THAT(refused(without), Contains("is not compatible with the already installed livepatches"));

  disable_and_unload(second.name);
  const std::string end = machine.new_kernel_messages();
  CHECK_THAT(end, Contains("freed by version 2") && !Contains("freed by version 1"));
  CHECK(machine.run("cat /proc/version").output == before);
  CHECK(vm::trouble_in(end).empty());
}

// On POWER's test kernel an overridden weak function stands behind sys_umask (elf/ftrace_site.h).
TEST_CASE("a system call by kpatch's macro", "[vm][x86]") {
  const Livepatch& livepatch = Suite::get().livepatch("syscall-kpatch");
  vm::LivepatchCheck check;
  check.commands = {"(umask 022; umask)"};
  const auto result = run_livepatch(livepatch, check);
  CHECK(result.outputs.at(0).before == "0022\n");
  CHECK(result.outputs.at(0).patched == "0023\n");
  CHECK(result.outputs.at(0).after == "0022\n");
}
