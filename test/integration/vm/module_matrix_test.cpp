// A module with everything that the kernel knows by addresses which a livepatch learns late (modules/klp_keys.c),
// patched before and after it comes, unloaded and loaded again, and patched anew by a livepatch that takes the first
// one's place. Every step is seen by what the module's functions say.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "module_pair.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;

namespace {

/// Else the shorter way through the matrix: one more life of the module instead of three, and the first livepatch only
/// on the way to the second.
bool whole_matrix() {
  return std::getenv("KLP_TEST_ALL") != nullptr;
}

const std::string kAt = "cd /sys/module/klp_keys/parameters\n";
const std::string kEnable = "/sys/kernel/tracing/events/klp_keys/klp_keys_read/enable\n";

/// What `keys` says of two keys, whose branches of either likelihood are taken or not, and of the exported one.
std::string keys(const std::string& title, bool off, bool on, bool shared) {
  return title + "keys:" + (off ? " off-unlikely off-likely" : "") + (on ? " on-unlikely on-likely" : "") +
         (shared ? " shared" : "") + "\n";
}

/// The module in the guest, with another one that uses its exported key.
class TestModule {
 public:
  explicit TestModule(const ModulePair& pair) : machine_(Suite::get().machine()) {
    // Switching a tracepoint's static call makes the kernel wait for the other processor at every byte that it writes
    // (text_poke_sync), slow in an emulator (lib/vm/vm.cpp). So the second one stays off from here on.
    machine_.run("echo 0 >/sys/devices/system/cpu/cpu1/online");
    machine_.copy_in(pair.module());
    machine_.copy_in(test_module("klp_keys_user", "klp_keys"));
    machine_.new_kernel_messages();
  }

  void load() {
    reads_ = 0;
    CHECK(machine_.run("insmod /klp_keys.ko && insmod /klp_keys_user.ko").status == 0);
  }
  void unload() { CHECK(machine_.run("rmmod klp_keys_user && rmmod klp_keys").status == 0); }

  /// Everything of it at work, each function with `title` in front; all switches are as after a load before and behind.
  void check(const std::string& title) {
    INFO("title '" << title << "'");
    check_keys(title);
    check_call(title);
    check_event(title);
    check_alternatives(title);
    check_data(title);
    check_count_of_users(title);
  }

  /// Switched on, all that can be; and what is said then, and off again.
  void switch_on() {
    CHECK(
        machine_.run(kAt + "echo 1 >off_key; echo 1 >shared_key; echo 0 >on_key; echo 1 >set_call; echo 1 >" + kEnable)
            .status == 0);
  }
  void check_switched_on(const std::string& title) {
    CHECK(said("cat keys; cat call; echo >/sys/kernel/tracing/trace; cat event; grep -o 'what=.*' "
               "/sys/kernel/tracing/trace\n") ==
          keys(title, true, false, true) + title + "call: 42\n" + title + "event\nwhat=" + title + "event\n");
    CHECK(said("echo 0 >off_key; echo 0 >shared_key; echo 1 >on_key; echo 0 >set_call; echo 0 >" + kEnable).empty());
  }

 private:
  std::string said(const std::string& commands) { return machine_.run(kAt + commands).output; }

  void check_keys(const std::string& title) {
    CHECK(
        said(
            "cat keys; for to in '1 off' '0 on' '1 shared' '0 off' '1 on'; do set -- $to; echo $1 >${2}_key; cat keys; "
            "done; cat /sys/module/klp_keys_user/parameters/shared; echo 0 >shared_key; cat keys; "
            "cat /sys/module/klp_keys_user/parameters/shared") ==
        keys(title, false, true, false) + keys(title, true, true, false) + keys(title, true, false, false) +
            keys(title, true, false, true) + keys(title, false, false, true) + keys(title, false, true, true) + "on\n" +
            keys(title, false, true, false) + "off\n");
  }

  void check_call(const std::string& title) {
    CHECK(said("cat call; echo 1 >set_call; cat call; echo 0 >set_call; cat call") ==
          title + "call: 21\n" + title + "call: 42\n" + title + "call: 21\n");
  }

  /// The tracepoint and the debug message, each off, on and off.
  void check_event(const std::string& title) {
    const std::string show =
        "cat event; grep -o 'what=.*' /sys/kernel/tracing/trace; echo >/sys/kernel/tracing/trace\n";
    CHECK(said("echo >/sys/kernel/tracing/trace; " + show + "echo 1 >" + kEnable + show + "echo 0 >" + kEnable +
               show) == title + "event\n" + title + "event\nwhat=" + title + "event\n" + title + "event\n");
    const std::string control = " >/proc/dynamic_debug/control; ";
    const std::string debug = "dmesg -c >/dev/null; cat event >/dev/null; dmesg | grep -o '[a-z ]*message'; echo -\n";
    CHECK(said(debug + "echo 'file klp_keys.c +p'" + control + debug + "echo 'file klp_keys.c -p'" + control + debug) ==
          "-\n " + title + "message\n-\n-\n");
  }

  /// What they do by themselves, and what the kernel has put in its place.
  void check_alternatives(const std::string& title) {
    CHECK(said("cat calls_by_feature data_by_feature") ==
          title + "calls: always 12 never 11\n" + title + "data: always 7 never 1\n");
  }

  void check_data(const std::string& title) {
    std::string expected;
    for (int i = 0; i < 2; ++i, ++reads_) {
      expected += fmt::format("{}reads: {} {} tables: 200 {}\n", title, reads_ + 1, reads_ + 1, reads_ % 2 ? 200 : 100);
    }
    CHECK(said("cat data; cat data") == expected);
  }

  /// The module holds itself: its own count moves, and none of a livepatch.
  void check_count_of_users(const std::string& title) {
    const std::string counts =
        "cat /sys/module/klp_keys/refcnt; for l in /sys/module/livepatch_keys*; do [ ! -e $l ] || cat $l/refcnt; "
        "done\n";
    const std::string before = said(counts);
    REQUIRE(before.substr(0, 2) == "1\n");  // the other module
    CHECK(said("dmesg -c >/dev/null; echo 1 >hold; dmesg | grep -o '[a-z ]*hold'\n" + counts + "echo 0 >hold\n" +
               counts) == " " + title + "hold\n2" + before.substr(1) + before);
  }

  vm::Vm& machine_;
  int reads_ = 0;
};

/// The module with the livepatch `in_force` there, and in further lives.
void check_lives(TestModule& module, const Livepatch& in_force, const std::string& title) {
  module.check(title);
  for (int life = 1; life <= (whole_matrix() ? 3 : 1); ++life) {
    module.unload();
    module.load();
    module.check(title);
  }
  const ReadBackResult memory = read_back_now(in_force);
  CHECK(memory.differences == std::vector<std::string>());
  CHECK(memory.references > 0);
}

void remove(const Livepatch& replaced) {
  CHECK(Suite::get()
            .machine()
            .run("n=0; until rmmod " + replaced.name + "; do n=$((n+1)); [ $n = 50 ] && exit 1; usleep 100000; done")
            .status == 0);
}

}  // namespace

TEST_CASE("a module under livepatches that come before and after it", "[vm][keys][x86]") {
  const ModulePair first_pair("klp_keys", "keys-title"), second_pair("klp_keys", "keys-second");
  const auto first = first_pair.livepatch(), second = second_pair.livepatch();
  vm::Vm& machine = Suite::get().machine();
  TestModule module(first_pair);
  const bool replaced = GENERATE(false, true);
  if (!replaced && !whole_matrix()) return;
  CAPTURE(replaced);
  const Livepatch& last = replaced ? *second : *first;
  const std::string title = replaced ? "second " : "patched ";
  SECTION("the module first") {
    module.load();
    module.check("");
    module.switch_on();
    load(*first);
    module.check_switched_on("patched ");
    if (replaced) {
      module.check("patched ");
      module.switch_on();
      load(*second);
      remove(*first);
      module.check_switched_on("second ");
    }
    check_lives(module, last, title);
    module.switch_on();
    disable_and_unload(last.name);
    module.check_switched_on("");
    module.check("");
    module.unload();
  }
  SECTION("the livepatch first") {
    load(*first);
    if (replaced) {
      load(*second);
      remove(*first);
    }
    module.load();
    check_lives(module, last, title);
    module.unload();
    disable_and_unload(last.name);
    module.load();
    module.check("");
    module.unload();
  }
  CHECK(vm::trouble_in(machine.new_kernel_messages()).empty());
}

TEST_CASE("a module that one of two livepatches keeps out", "[vm][keys][x86]") {
  const ModulePair first_pair("klp_keys", "keys-told"), second_pair("klp_keys", "keys-refused");
  const auto first = first_pair.livepatch(), second = second_pair.livepatch(false);
  vm::Vm& machine = Suite::get().machine();
  TestModule module(first_pair);
  load(*first);
  load(*second);  // with the module there it would be refused
  // insmod tries twice: what either has filled in for the first must not be in the way of the second.
  const std::string attempt =
      "told of pre_patch klp_keys\ntold of post_patch klp_keys\npre-patch callback failed for object 'klp_keys'\n"
      "told of pre_unpatch klp_keys\ntold of post_unpatch klp_keys\n";
  machine.run("dmesg -c >/dev/null");
  CHECK(machine.run("insmod /klp_keys.ko").status != 0);
  CHECK(machine.run("dmesg | grep -o 'told of .*\\|pre-patch callback failed for.*\\|existing value.*'").output ==
        attempt + attempt);
  CHECK_FALSE(vm::trouble_in(machine.new_kernel_messages()).empty());  // taken here: the kernel's words of the failure
  disable_and_unload(second->name);
  module.load();
  check_lives(module, *first, "patched ");
  module.unload();
  disable_and_unload(first->name);
  CHECK(vm::trouble_in(machine.new_kernel_messages()).empty());
}

TEST_CASE("a livepatch that does nothing about what comes late does not work", "[vm][keys][x86]") {
  if (!whole_matrix()) return;  // it costs a boot
  const ModulePair pair("klp_keys", "keys-title");
  vm::Vm& machine = Suite::get().machine();
  TestModule module(pair);
  SECTION("in its code") {
    const auto livepatch = pair.broken(ModulePair::Without::late_code);
    module.load();
    bool works = true;
    try {
      machine.copy_in(livepatch->file);
      const std::string said = machine
                                   .run("insmod /" + livepatch->file.filename().string() + " || exit 1; sleep 5; " +
                                            kAt + "cat keys; echo 1 >off_key; cat keys; cat calls_by_feature",
                                        std::chrono::seconds(60))
                                   .output;
      works = said == keys("patched ", false, true, false) + keys("patched ", true, true, false) +
                          "patched calls: always 12 never 11\n";
      machine.run("poweroff -f", std::chrono::seconds(10));  // whatever it did to the guest must not be met by others
    } catch (const vm::GuestFault&) {
      works = false;
    }
    CHECK_FALSE(works);
    CHECK_FALSE(machine.alive());
  }
  SECTION("when the module goes") {
    if (Suite::get().vmlinux().maybe_global("clear_relocate_add") != nullptr) return;  // the kernel does it
    const auto livepatch = pair.broken(ModulePair::Without::clearing);
    module.load();
    load(*livepatch);
    module.unload();
    CHECK(machine.run("insmod /klp_keys.ko").status != 0);
    CHECK_THAT(machine.new_kernel_messages(), Contains("existing value is nonzero"));
    disable_and_unload(livepatch->name);
  }
}
