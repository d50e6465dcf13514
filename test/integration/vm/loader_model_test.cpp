// The model of the loader (lib/verify/loader.h) against the kernel: seeded mutants of livepatches are loaded, and the
// kernel must take or refuse each as the model says, with the words that it says. What is taken is read back from
// memory and held against the model's sections.
//
// $KLP_TEST_MUTANTS: how many (20 without it, 200 with KLP_TEST_ALL); $KLP_TEST_SEED: which.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "guest_view.h"
#include "loader_kernel.h"
#include "module_edits.h"
#include "support/bytes.h"
#include "verify/loader.h"
#include "vm_suite.h"

using namespace klp;
using namespace klp::test;

namespace {

constexpr const char* kMutant = "/mutant.ko";

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given == nullptr ? otherwise : std::stoull(given);
}

/// The commands that make the mutant of a file in the guest.
std::string edit_commands(const std::string& base, const Mutant& mutant) {
  std::string script = fmt::format("cp {} {}", base, kMutant);
  for (const Edit& edit : mutant.edits) {
    std::string octal;
    for (const std::byte b : edit.bytes) octal += fmt::format("\\{:03o}", static_cast<unsigned>(b));
    script +=
        fmt::format(" && printf '{}' | dd of={} bs=1 seek={} conv=notrunc 2>/dev/null", octal, kMutant, edit.offset);
  }
  if (mutant.length) script += fmt::format(" && truncate -s {} {}", *mutant.length, kMutant);
  return script;
}

/// Whether a kernel message is as predicted, where "<...>" stands for anything.
bool matches(std::string_view line, std::string_view predicted) {
  constexpr std::string_view kAny = "<...>";
  for (;;) {
    const size_t any = predicted.find(kAny);
    const std::string_view part = predicted.substr(0, any);
    const size_t found = line.find(part);
    if (found == std::string_view::npos) return false;
    line.remove_prefix(found + part.size());
    if (any == std::string_view::npos) return true;
    predicted.remove_prefix(any + kAny.size());
  }
}

/// What every load says, or what the refusal brings with it.
bool is_usual(std::string_view line) {
  for (const std::string_view usual :
       {"tainting kernel", "taints kernel", "kernel tainted", "enabling patch", "patching transition",
        "patching complete", "applying patch", "reverting patch", "unpatching", "zram: Added device",
        "zram: Removed device", "Disabling lock debugging", "canceling patch", "zram0:", "hrtimer: interrupt took",
        "Spectre V2 :", "not compiled with retpoline", "barrier-nospec: ", "random: crng"}) {
    if (line.find(usual) != std::string_view::npos) return true;
  }
  return line.empty();
}

/// EEXIST of a directory comes with the call chain; only its last line is of the loader's making.
bool is_chain(const std::vector<std::string>& predicted) {
  return predicted.size() == 1 && predicted.front().starts_with("kobject_add_internal");
}

/// The messages of both of busybox's tries, as often as they come, and nothing else; "" when it is so.
std::string message_trouble(const std::string& messages, const std::vector<std::string>& predicted) {
  std::vector<bool> seen(predicted.size());
  std::istringstream lines(messages);
  std::string trouble;
  for (std::string line; std::getline(lines, line);) {
    bool known = is_usual(vm::without_time(line)) || is_chain(predicted);
    for (size_t i = 0; i < predicted.size(); ++i) {
      if (!matches(line, predicted[i])) continue;
      seen[i] = known = true;
    }
    if (!known) trouble += fmt::format("not predicted: {}\n", line);
  }
  for (size_t i = 0; i < predicted.size(); ++i) {
    if (!seen[i]) trouble += fmt::format("not said: {}\n", predicted[i]);
  }
  return trouble;
}

/// As busybox's insmod and modprobe name the errors (modutils/modutils.c: moderror).
bool names_error(const std::string& output, int error) {
  if (error == ENOEXEC) return output.find("nvalid module format") != std::string::npos;
  if (error == ENOENT) return output.find("nknown symbol in module") != std::string::npos;
  if (error == EINVAL)
    return output.find("nvalid parameter") != std::string::npos || output.find("nvalid argument") != std::string::npos;
  return output.find(std::strerror(error)) != std::string::npos;
}

std::map<std::string, uint64_t> section_addresses(vm::Vm& machine, const std::string& module) {
  std::map<std::string, uint64_t> result;
  std::istringstream lines(
      machine.run("cd /sys/module/" + module + "/sections && for s in * .[!.]*; do echo \"$s $(cat \"$s\")\"; done")
          .output);
  std::string section, address;
  while (lines >> section >> address) {
    if (address.starts_with("0x")) result[section] = std::stoull(address, nullptr, 16);
  }
  return result;
}

/// Tables that the kernel sorts or fills in.
bool is_rewritten_table(std::string_view name) {
  return name.starts_with(".orc_unwind") || name == "__ex_table" || name == "__jump_table" || name == "__bug_table" ||
         name == "__mcount_loc" || name == ".static_call_sites" || name == ".symtab" || name == ".strtab";
}

/// Compares what cannot change while the module runs; returns the number of bytes, and the differences in words.
size_t compare_memory(vm::Vm& machine, const verify::Loader& model, std::string& differences) {
  GuestView guest(machine);
  size_t compared = 0;
  for (const verify::LoadedSection& section : model.sections()) {
    const bool lasting = (section.flags & elf::kShfWrite) == 0 && !section.name.starts_with(".init");
    if (!lasting || is_rewritten_table(section.name) || section.memory.empty()) continue;
    const std::vector<std::byte> memory = guest.memory(section.address, section.memory.size());
    for (size_t i = 0; i < memory.size(); ++i) {
      if (section.unknown[i]) continue;
      ++compared;
      if (memory[i] == section.memory[i]) continue;
      differences += fmt::format("{}+{:#x}: {:02x} in memory, {:02x} in the model\n", section.name, i,
                                 static_cast<unsigned>(memory[i]), static_cast<unsigned>(section.memory[i]));
      break;
    }
  }
  return compared;
}

struct Base {
  std::string patch, late;      ///< the module that the livepatch patches, if any
  std::set<std::string> there;  ///< that, and what it needs
};

/// Livepatches that can be made for the suite's kernel.
std::vector<Base> bases_of(Suite& suite) {
  std::vector<Base> bases = {
      {"meminfo-string", {}, {}}, {"module-function", {}, {}}, {"same-named-function", {}, {}}, {"cold-part", {}, {}},
      {"static-branch", {}, {}},  {"two-files", {}, {}},       {"unexported-symbols", {}, {}}};
  Base& of_module = bases[1];
  of_module.late = module_to_patch().name;
  if (suite.is_x86()) {
    of_module.there = {"zram", "zsmalloc"};
    for (const char* patch : {"per-cpu", "alternatives"}) bases.push_back({patch, {}, {}});
    if (suite.vmlinux().maybe_global("__SCK__cond_resched") != nullptr) bases.push_back({"static-call", {}, {}});
  } else {
    of_module.there = {"ext4", "jbd2", "mbcache", "crc16", "crypto", "crypto_hash"};
    for (const char* patch : {"feature-fixups", "new-function-new-data"}) bases.push_back({patch, {}, {}});
  }
  return bases;
}

struct Tally {
  size_t taken = 0, refused = 0, late_refused = 0, again = 0, skipped = 0, bytes = 0;
};

/// One mutant in the guest.
class Trial {
 public:
  Trial(vm::Vm& machine, const verify::TargetKernel& target, const elf::ElfObject& module, std::string name,
        Mutant mutant, Base base, bool late_there, Tally& tally)
      : machine_(machine),
        target_(target),
        name_(std::move(name)),
        mutant_(std::move(mutant)),
        file_(apply(module, mutant_)),
        base_(std::move(base)),
        late_there_(late_there && !base_.late.empty()),
        base_file_("/" + fs::path(module.name()).filename().string()),
        tally_(tally) {}

  /// False when the model cannot tell: nothing was loaded then.
  bool run() {
    verify::Loader model(target_, file_, situation(false));
    const verify::LoadResult predicted = model.load();
    const bool will_come = !base_.late.empty() && !late_there_ && predicted.outcome == verify::Outcome::accepted;
    verify::LoadResult later;
    if (will_come) later = arrival(model);
    if (predicted.outcome == verify::Outcome::unpredictable || later.outcome == verify::Outcome::unpredictable)
      return false;
    if (late_there_) must("modprobe " + base_.late);
    machine_.new_kernel_messages();
    const vm::GuestResult said = machine_.run(edit_commands(base_file_, mutant_) + " && insmod " + kMutant);
    INFO(describe(predicted) + said.output);
    check_result(said, predicted);
    if (predicted.outcome == verify::Outcome::accepted && said.status == 0) {
      ++tally_.taken;
      if (will_come) come(later);
      // There is no other way to the memory of a kernel without it.
      if (target_.config("PROC_KCORE")) read_back(will_come && later.outcome == verify::Outcome::accepted);
      if (!base_.late.empty() && (late_there_ || later.outcome == verify::Outcome::accepted)) come_again(model);
      unload();
    } else {
      ++tally_.refused;
    }
    if (!base_.late.empty()) machine_.run("modprobe -r " + base_.late);
    return true;
  }

 private:
  /// busybox tries a refused module a second time, which may be refused for what the first try has left behind.
  verify::LoadResult arrival(verify::Loader& model) const {
    verify::LoadResult result = model.module_arrives(base_.late);
    if (result.outcome != verify::Outcome::refused) return result;
    verify::LoadResult second = model.module_arrives(base_.late);
    second.messages.insert(second.messages.begin(), result.messages.begin(), result.messages.end());
    return second;
  }

  verify::Situation situation(bool with_addresses) {
    verify::Situation result;
    if (late_there_) result.loaded = base_.there;
    if (!with_addresses) return result;
    result.addresses[name_] = section_addresses(machine_, name_);
    if (!base_.late.empty()) result.addresses[base_.late] = section_addresses(machine_, base_.late);
    return result;
  }

  std::string describe(const verify::LoadResult& predicted) const {
    std::string text =
        fmt::format("{}: {}{}\npredicted: {} {}\n", base_.patch, mutant_.what, late_there_ ? ", its module there" : "",
                    to_string(predicted.outcome), predicted.step);
    for (const std::string& message : predicted.messages) text += "  " + message + "\n";
    return text;
  }

  void check_result(const vm::GuestResult& said, const verify::LoadResult& predicted) {
    const std::string messages = machine_.new_kernel_messages();
    INFO(messages);
    const bool refused = predicted.outcome == verify::Outcome::refused;
    CHECK((said.status != 0) == refused);
    if (refused) CHECK(names_error(said.output, predicted.error));
    CHECK(message_trouble(messages, predicted.messages) == "");
  }

  /// The patched module comes now.
  void come(const verify::LoadResult& predicted) {
    wait();
    machine_.new_kernel_messages();
    const vm::GuestResult said = machine_.run("modprobe " + base_.late);
    INFO(describe(predicted) + said.output);
    check_result(said, predicted);
    if (predicted.outcome == verify::Outcome::refused) ++tally_.late_refused;
  }

  /// It goes and comes once more.
  void come_again(verify::Loader& model) {
    const verify::LoadResult gone = model.module_leaves(base_.late);
    if (gone.outcome != verify::Outcome::accepted) return;
    const verify::LoadResult predicted = arrival(model);
    if (predicted.outcome == verify::Outcome::unpredictable) return;
    wait();
    must("modprobe -r " + base_.late);
    come(predicted);
    ++tally_.again;
  }

  void read_back(bool arrived) {
    verify::Loader model(target_, file_, situation(true));
    CHECK(model.load().outcome == verify::Outcome::accepted);
    if (arrived) CHECK(model.module_arrives(base_.late).outcome == verify::Outcome::accepted);
    // A module that is refused leaves a part of its relocations behind.
    if (!arrived && !late_there_ && !base_.late.empty()) model.module_arrives(base_.late);
    std::string differences;
    const size_t compared = compare_memory(machine_, model, differences);
    CHECK(differences == "");
    CHECK(compared > 0);
    tally_.bytes += compared;
  }

  void must(const std::string& command) {
    const vm::GuestResult said = machine_.run(command);
    INFO(command + "\n" + said.output);
    REQUIRE(said.status == 0);
  }

  /// Until no transition is under way.
  void wait() {
    must("for i in $(seq 600); do grep -q 1 /sys/kernel/livepatch/" + name_ +
         "/transition 2>/dev/null || break; usleep 100000; done");
  }

  void unload() {
    const std::string directory = "/sys/kernel/livepatch/" + name_;
    wait();
    must(
        fmt::format("if [ -d {0} ]; then echo 0 > {0}/enabled; for i in $(seq 600); do [ -d {0} ] || break; usleep "
                    "100000; done; fi; rmmod {1}",
                    directory, name_));
    CHECK(vm::trouble_in(machine_.new_kernel_messages()).empty());
  }

  vm::Vm& machine_;
  const verify::TargetKernel& target_;
  std::string name_;
  Mutant mutant_;
  std::vector<std::byte> file_;
  Base base_;
  bool late_there_;
  std::string base_file_;
  Tally& tally_;
};

}  // namespace

TEST_CASE("the kernel loads or refuses mutants of livepatches as the model of its loader says", "[vm][loader-model]") {
  Suite& suite = Suite::get();
  const std::vector<Base> bases = bases_of(suite);
  const tools::LoaderKernel kernel(suite.kernel());
  const uint64_t count = number_from("KLP_TEST_MUTANTS", std::getenv("KLP_TEST_ALL") == nullptr ? 20 : 200);
  std::mt19937_64 random(number_from("KLP_TEST_SEED", 1));
  std::map<std::string, elf::ElfObject> modules;
  Tally tally;
  for (uint64_t tried = 0; tried < count;) {
    const Base& base = bases[tried % bases.size()];
    const Livepatch& livepatch = suite.livepatch(base.patch);
    vm::Vm& machine = suite.machine();
    if (!modules.contains(base.patch)) modules.emplace(base.patch, elf::ElfObject::read(livepatch.file));
    if (machine.run("test -e /" + livepatch.file.filename().string()).status != 0) machine.copy_in(livepatch.file);
    Mutant mutant = mutant_of(modules.at(base.patch), random);
    const bool late_there = random() % 2 == 0;
    Trial trial(machine, kernel.target(), modules.at(base.patch), livepatch.name, std::move(mutant), base, late_there,
                tally);
    if (trial.run())
      ++tried;
    else
      ++tally.skipped;
  }
  CHECK(tally.taken > 0);
  CHECK(tally.refused > 0);
  WARN(
      fmt::format("{} mutants: {} taken, {} bytes read back; {} refused; {} refused to a module that came later, {} "
                  "times it came again; {} more "
                  "of which the model cannot tell were not loaded",
                  count, tally.taken, tally.bytes, tally.refused, tally.late_refused, tally.again, tally.skipped));
}
