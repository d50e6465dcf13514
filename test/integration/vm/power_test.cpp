// What only POWER has: code chosen by the processor's features, and r2, which a call out of a module must bring back.
#include <elf.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

#include "elf/disassembler.h"
#include "elf/ftrace_site.h"
#include "guest_view.h"
#include "module_pair.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

constexpr uint32_t kBl = 0x48000001, kB = 0x48000000, kNop = 0x60000000, kNoNop = 0x60210000, kPopFrame = 0x38210020,
                   kLoadLr = 0xe8010010, kMtlr = 0x7c0803a6, kBlr = 0x4e800020;
constexpr uint64_t kWord = 4;

bool not_power() {
  if (!Suite::get().is_x86()) return false;
  WARN("not run: this kernel is not for POWER");
  return true;
}

std::string words(std::initializer_list<uint32_t> list) {
  std::string text(list.size() * kWord, '\0');
  size_t at = 0;
  for (const uint32_t word : list) {
    std::memcpy(text.data() + at, &word, kWord);
    at += kWord;
  }
  return text;
}

/// The end of version_proc_show() in tail-call.patch: a call, and the way out of its frame. Behind kStart.
const std::string kStart = words({0x38a00008, 0xe8890000, 0xf8010010, 0xf821ffe1});
const std::string kEnd = words({kBl, kNop, kPopFrame, kLoadLr, kMtlr, kBlr});

size_t place_of_end(const std::string& module) {
  const size_t at = module.find(kStart + kEnd);
  REQUIRE(at != module.npos);
  REQUIRE(module.find(kStart + kEnd, at + 1) == module.npos);
  return at + kStart.size();
}

template <typename T>
T record(const std::string& file, uint64_t at) {
  T value;
  REQUIRE(at + sizeof(T) <= file.size());
  std::memcpy(&value, file.data() + at, sizeof(T));
  return value;
}

/// Moves the call's relocation by `distance` in the file.
void move_relocation(std::string& file, size_t call, uint64_t distance) {
  const auto header = record<Elf64_Ehdr>(file, 0);
  const auto section = [&](size_t i) { return record<Elf64_Shdr>(file, header.e_shoff + i * sizeof(Elf64_Shdr)); };
  size_t moved = 0;
  for (size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr relocations = section(i);
    if (relocations.sh_type != SHT_RELA) continue;
    const Elf64_Shdr target = section(relocations.sh_info);
    for (uint64_t at = relocations.sh_offset; at < relocations.sh_offset + relocations.sh_size;
         at += sizeof(Elf64_Rela)) {
      auto entry = record<Elf64_Rela>(file, at);
      const bool is_code = (target.sh_flags & SHF_EXECINSTR) != 0;
      if (!is_code || target.sh_offset + entry.r_offset != call) continue;
      entry.r_offset += distance;
      std::memcpy(file.data() + at, &entry, sizeof(entry));
      ++moved;
    }
  }
  REQUIRE(moved == 1);
}

/// As a compiler makes it without -fno-optimize-sibling-calls.
std::string with_tail_call(std::string module) {
  const size_t at = place_of_end(module);
  module.replace(at, kEnd.size(), words({kPopFrame, kLoadLr, kMtlr, kB, kNop, kBlr}));
  move_relocation(module, at, 3 * kWord);
  return module;
}

std::string without_nop(std::string module) {
  module.replace(place_of_end(module), 2 * kWord, words({kBl, kNoNop}));
  return module;
}

/// Where the last stub lies that the kernel has made, as a distance from its module's r2. Of a module that comes, these
/// are its own, then the livepatch's (arch/powerpc/kernel/module_64.c: create_stub, a debug message).
constexpr const char* kLogStubs = "echo 'format \"get data from reladdr\" +p' >/sys/kernel/debug/dynamic_debug/control";
constexpr const char* kLastStub = "dmesg | sed -n 's/.*get data from reladdr //p' | tail -n 1";

std::string room_name(int number) {
  return fmt::format("klp_roo{}", number);
}

/// The module klp_room under another name of the same length, so that the guest can have several. Its name.
std::string copy_room_in(vm::Vm& machine, int number) {
  const std::string from = "klp_room", name = room_name(number);
  std::string content = read_file(test_module(from));
  for (size_t at = 0; (at = content.find(from, at)) != content.npos;) content.replace(at, from.size(), name);
  const fs::path file = Suite::get().directory("rooms") / (name + ".ko");
  write_file_atomically(file, content);
  machine.copy_in(file);
  return name;
}

/// Where the calls of a livepatch's function go to now.
std::set<uint64_t> calls_of(vm::Vm& machine, const Livepatch& livepatch, const std::string& function) {
  const auto object = elf::ElfObject::read(livepatch.file);
  GuestView guest(machine);
  const uint64_t address = guest.module_symbols(livepatch.name).at(function).front();
  const auto code = guest.memory(address, object.symbols_named(function).front()->size);
  std::set<uint64_t> result;
  for (const elf::Instruction& i : elf::Disassembler(object.machine()).decode(code)) {
    if (i.flow == elf::Flow::call) result.insert(address + static_cast<uint64_t>(i.target));
  }
  return result;
}

struct Outcome {
  bool loaded = false, broken = false;
  std::string said, messages;
};

/// Loads a module in a guest of its own, which it may break, and has the patched function run.
Outcome outcome_of(const std::string& name, const std::string& module, const std::string& read = "cat /proc/version") {
  Suite& suite = Suite::get();
  vm::VmOptions options;
  options.directory = suite.directory(name);
  const fs::path file = options.directory / (name + ".ko");
  write_file_atomically(file, module);
  options.files = {file};
  options.kernel_modules = {module_to_patch().name};
  vm::Vm machine(suite.kernel(), options);
  machine.new_kernel_messages();
  Outcome result;
  try {
    result.loaded = machine.run("insmod /" + name + ".ko && sleep 5").status == 0;
    for (int i = 0; i < 3; ++i) result.said = machine.run(read).output;
    result.messages = machine.new_kernel_messages();
    result.broken = !vm::trouble_in(result.messages).empty();
  } catch (const vm::GuestFault& fault) {
    result.messages = fault.what();
    result.broken = true;
  }
  return result;
}

}  // namespace

TEST_CASE("code that the processor's features choose", "[vm][power]") {
  if (not_power()) return;
  const Livepatch& livepatch = Suite::get().livepatch("feature-fixups");
  const auto result = run_livepatch(livepatch, commands({"head -n 1 /proc/version"}));
  CHECK_THAT(result.outputs.at(0).before, StartsWith("Linux version"));
  CHECK(result.outputs.at(0).patched == "isa 3.0: 1, 3.1: 0, radix\n");
  CHECK_THAT(result.outputs.at(0).after, StartsWith("Linux version"));
}

TEST_CASE("a patched module leaves and returns ten times, elsewhere each time", "[vm][power][reload]") {
  if (not_power()) return;
  constexpr int kLives = 10;
  const ModuleToPatch module = module_to_patch();
  const Livepatch& livepatch = Suite::get().livepatch("module-function");
  auto check = commands({module.read});
  check.modules_before = {module.name};
  std::vector<std::string> said, stubs;
  std::set<std::string> places;
  ReadBackResult memory;
  check.while_patched = [&](vm::Vm& machine) {
    CHECK(machine.run(kLogStubs).status == 0);
    for (int life = 0; life < kLives; ++life) {
      // Another module comes into the hole that it leaves, and stays there.
      const std::string room = copy_room_in(machine, life);
      const auto result =
          machine.run(fmt::format("rmmod {0} || exit 1; insmod /{1}.ko || exit 2; modprobe {0} 2>/dev/null || exit 3\n"
                                  "awk '$1 == \"{0}\" {{ print $6 }}' /proc/modules; {2}",
                                  module.name, room, module.read));
      CHECK(result.status == 0);
      const size_t line = result.output.find('\n');
      places.insert(result.output.substr(0, line));
      said.push_back(result.output.substr(std::min(result.output.size(), line + 1)));
      stubs.push_back(machine.run(kLastStub).output);
      if (!Suite::get().can_read_back()) continue;
      const ReadBackResult now = read_back_now(livepatch);
      memory.differences.insert(memory.differences.end(), now.differences.begin(), now.differences.end());
    }
  };
  const auto result = run_livepatch(livepatch, check);
  const std::string patched = result.outputs.at(0).patched;
  CHECK_THAT(patched, StartsWith(module.patched_start) && Contains(module.known));
  CHECK(said == std::vector<std::string>(kLives, patched));
  CHECK(result.outputs.at(0).after == module.before);
  INFO(fmt::format("{} was at {}", module.name, fmt::join(places, " ")));
  CHECK(places.size() == kLives);
  CHECK(memory.differences == std::vector<std::string>());
  // The one stub for its one function, at another address each time, is always the same.
  CHECK_THAT(stubs.front(), Contains("\n"));
  CHECK(stubs == std::vector<std::string>(kLives, stubs.front()));
  for (int life = 0; life < kLives; ++life) CHECK(Suite::get().machine().run("rmmod " + room_name(life)).status == 0);
}

TEST_CASE("a stub that two patched modules use stays for the second when the first goes", "[vm][power]") {
  if (not_power() || Suite::get().lacks("NFSD")) return;
  const Livepatch& livepatch = Suite::get().livepatch("shared-stub");
  const std::string of_second = "head -n 1 /proc/net/rpc/auth.unix.ip/content";
  const std::string of_first =
      "mount -t nfsd nfsd /proc/fs/nfsd && cat /proc/fs/nfsd/max_connections; umount /proc/fs/nfsd";
  auto check = commands({of_second});
  check.modules_before = {"nfsd"};
  std::vector<uint64_t> shared;
  std::string first, second, again;
  check.while_patched = [&](vm::Vm& machine) {
    if (Suite::get().can_read_back()) {
      const auto a = calls_of(machine, livepatch, "write_maxconn"), b = calls_of(machine, livepatch, "ip_map_show");
      std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(shared));
    }
    first = machine.run(of_first).output;
    second = machine.run("rmmod nfsd && " + of_second).output;
    again = machine.run("modprobe nfsd; " + of_first).output;
  };
  const auto result = run_livepatch(livepatch, check);
  if (Suite::get().can_read_back()) CHECK(shared.size() == 1);
  CHECK(first == "none\\011 ");
  CHECK(again == first);
  CHECK(result.outputs.at(0).before == "#class IP domain\n");
  CHECK(result.outputs.at(0).patched == "#one\\011two \n");
  CHECK(second == result.outputs.at(0).patched);
  CHECK(result.outputs.at(0).after == result.outputs.at(0).before);
}

TEST_CASE("what is not cleared keeps a patched module from coming back", "[vm][power][reload]") {
  if (not_power()) return;
  const Livepatch& livepatch = Suite::get().livepatch("module-function");
  const auto object = elf::ElfObject::read(livepatch.file);
  const elf::Symbol& setting = *object.symbols_named("klp_diff_clear_when_gone").front();
  const auto* byte = setting.section->data.data() + setting.value;
  REQUIRE(*byte == std::byte{1});
  std::string file = read_file(livepatch.file);
  file[static_cast<size_t>(byte - object.bytes().data())] = 0;
  const std::string name = module_to_patch().name;
  const Outcome outcome =
      outcome_of("not_cleared", file, fmt::format("modprobe {0} && rmmod {0} && modprobe {0} && echo back", name));
  CHECK(outcome.loaded);
  CHECK_THAT(outcome.said, !Contains("back"));
  CHECK_THAT(outcome.messages, Contains("Expected nop after call, got e8410018"));
}

TEST_CASE("a function with an overridden one behind it is refused: ftrace may take either", "[vm][power]") {
  if (not_power()) return;
  // arch_report_meminfo() of fs/proc/meminfo.c, overridden, is what follows. lib/elf/ftrace_site.h tells more.
  std::string module = read_file(Suite::get().livepatch("tail-call").file);
  const std::string from = "version_proc_show", to = "loadavg_proc_show";
  for (size_t at = 0; (at = module.find(from, at)) != module.npos;) module.replace(at, from.size(), to);
  const Outcome outcome = outcome_of("overridden", module, "cat /proc/loadavg");
  INFO(outcome.messages);
  CHECK(outcome.loaded);
  CHECK_THAT(outcome.messages, Contains("patching complete"));
  // A search by halves among the sites finds the one or the other, as the kernel happens to be laid out.
  WARN("the kernel redirects " << (outcome.said == "patched\n" ? "the right" : "another") << " function");
  const elf::SymbolIndex& vmlinux = Suite::get().vmlinux();
  const auto site = [&](std::string_view name) {
    return elf::ftrace_site(vmlinux.object(), *vmlinux.object().symbols_named(name).front());
  };
  CHECK(site(to) == elf::FtraceSite::ambiguous);
  CHECK(site(from) == elf::FtraceSite::own);
}

TEST_CASE("a jump out of a module and a call without a NOP are what the safeguards are for", "[vm][power]") {
  if (not_power()) return;
  const std::string module = read_file(Suite::get().livepatch("tail-call").file);
  SECTION("as klp-diff makes it") {
    const Outcome good = outcome_of("good", module);
    INFO(good.messages);
    CHECK(good.loaded);
    CHECK(good.said == "patched\n");
    CHECK_FALSE(good.broken);
  }
  SECTION("with a jump instead of the last call, the caller goes on with the module's r2") {
    const Outcome bad = outcome_of("tail_call", with_tail_call(module));
    INFO(bad.messages);
    CHECK(bad.loaded);
    CHECK(bad.broken);
  }
  SECTION("without the NOP, the kernel does not take the module") {
    const Outcome bad = outcome_of("no_nop", without_nop(module));
    CHECK_FALSE(bad.loaded);
    CHECK_THAT(bad.messages, Contains("Expected nop after call"));
    CHECK_THAT(bad.said, StartsWith("Linux version"));
  }
}
