// Takes livepatches through their life in a VM.
//
// The kernel tells the state of a livepatch in sysfs (Documentation/ABI/testing/sysfs-kernel-livepatch): the directory
// is there from the load until the patch is no longer in use, `transition` is 1 while tasks still move. Waiting is done
// by a loop in the guest, so that it costs one exchange.
#include "vm/livepatch_check.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "support/log.h"
#include "support/progress.h"
#include "vm/initramfs.h"
#include "vm/vm.h"

namespace klp::vm {
namespace {

using namespace std::chrono_literals;

std::string sysfs(const std::string& name) {
  return "/sys/kernel/livepatch/" + name;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string shell_word(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) result.push_back(line);
  return result;
}

/// Each line's words once: busybox's insmod tries finit_module, then init_module, and the kernel refuses twice.
std::string said_once(const std::vector<std::string>& lines) {
  std::set<std::string_view> seen;
  std::string text;
  for (const std::string& line : lines) {
    const std::string_view words = without_time(line);
    const bool taint = words.find("taints kernel") != std::string_view::npos ||
                       words.find("tainting kernel") != std::string_view::npos;
    if (!taint && seen.insert(words).second) text.append("\n").append(words);
  }
  return text;
}

std::string kernel_reason(const std::string& messages) {
  return said_once(lines_of(messages));
}

std::string last_lines(const std::vector<std::string>& lines, size_t count) {
  std::string text;
  for (size_t i = lines.size() - std::min(count, lines.size()); i < lines.size(); ++i) text += lines[i] + "\n";
  return text;
}

class Checker {
 public:
  Checker(Vm& vm, const LivepatchCheck& check) : vm_(vm), check_(check) {
    for (const std::string& command : check.commands) result_.outputs.push_back({command, {}, {}, {}});
  }

  LivepatchCheckResult run() {
    try {
      take_messages();  // what was before is not ours
      seen_.clear();
      live();
      take_messages();
      const std::vector<std::string> trouble = trouble_in(seen_);
      if (!trouble.empty()) throw GuestFault("the kernel reports trouble:" + said_once(trouble));
    } catch (const GuestFault& fault) {
      give_up(fault);
    }
    result_.messages = livepatch_lines();
    return std::move(result_);
  }

 private:
  using Outputs = LivepatchCheckResult::Outputs;

  void live();
  void run_commands(std::string Outputs::*output, int Outputs::*status, const char* when);
  void load(const std::filesystem::path& module);
  void load_own(const std::string& module);
  void wait_for_transition(const std::string& name, const std::string& until, const std::string& what, int old_state);
  void disable(const std::string& name);
  bool is_pinned(const std::string& name) const;
  void unload(const std::string& name);
  void unload_own();
  std::string blocking_tasks(int old_state);
  void give_up(const GuestFault& fault);
  void clean_up();
  void take_messages() { seen_ += vm_.new_kernel_messages(); }
  std::string livepatch_lines() const;

  Vm& vm_;
  const LivepatchCheck& check_;
  LivepatchCheckResult result_;
  std::string seen_;                     ///< kernel messages so far
  std::vector<std::string> loaded_;      ///< livepatches that were loaded and not yet unloaded
  std::vector<std::string> own_loaded_;  ///< the kernel's own modules likewise
};

void Checker::live() {
  for (const std::string& module : check_.modules_before) load_own(module);
  run_commands(&Outputs::before, &Outputs::before_status, "before");
  for (const auto& module : check_.modules) load(module);
  for (const std::string& module : check_.modules_after) load_own(module);
  run_commands(&Outputs::patched, &Outputs::patched_status, "patched");
  if (check_.while_patched) check_.while_patched(vm_);
  while (!loaded_.empty()) {
    const std::string name = loaded_.back();
    disable(name);
    unload(name);
    loaded_.pop_back();
  }
  run_commands(&Outputs::after, &Outputs::after_status, "after");
  unload_own();
}

void Checker::run_commands(std::string Outputs::*output, int Outputs::*status, const char* when) {
  if (result_.outputs.empty()) return;
  Progress progress(fmt::format("commands, {}", when), result_.outputs.size());
  for (Outputs& outputs : result_.outputs) {
    GuestResult said = vm_.run(outputs.command, check_.command_limit);
    outputs.*output = std::move(said.output);
    outputs.*status = said.status;
    progress.advance();
  }
}

void Checker::load_own(const std::string& module) {
  const GuestResult said = vm_.run("modprobe " + shell_word(module));
  if (said.status != 0) {
    const std::string reason = vm_.new_kernel_messages();
    seen_ += reason;
    throw GuestFault(fmt::format("module {} does not load: {}{}", module, trimmed(said.output), kernel_reason(reason)));
  }
  own_loaded_.push_back(module);
}

void Checker::load(const std::filesystem::path& module) {
  const std::string file = module.filename().string();
  const std::string name = module_name(module);
  Progress progress("loading " + file);
  take_messages();
  const GuestResult said = vm_.run("insmod " + shell_word("/" + file), check_.command_limit);
  const std::string reason = vm_.new_kernel_messages();
  seen_ += reason;
  if (said.status != 0) {
    throw GuestFault(fmt::format("the kernel refuses {}: {}{}", file, trimmed(said.output), kernel_reason(reason)));
  }
  loaded_.push_back(name);
  if (vm_.run("test -d " + sysfs(name)).status != 0) {
    throw GuestFault(fmt::format("{} is no livepatch: it loads, but there is no {}", file, sysfs(name)));
  }
  wait_for_transition(name, fmt::format("[ \"$(cat {0}/transition)$(cat {0}/enabled)\" = 01 ]", sysfs(name)),
                      "to " + name, 0);
}

/// Waits in the guest until the shell condition holds; tasks leave `old_state` meanwhile.
void Checker::wait_for_transition(const std::string& name, const std::string& until, const std::string& what,
                                  int old_state) {
  const auto limit = check_.transition_limit;
  const std::string loop = fmt::format(R"(
now() {{ read up rest </proc/uptime; echo ${{up%%.*}}; }}
end=$(($(now) + {}))
until {}; do
  [ $(now) -ge $end ] && exit 9
  usleep 100000
done)",
                                       limit.count(), until);
  const GuestResult said = vm_.run(loop, limit + 60s);
  if (said.status == 9) {
    throw GuestFault(
        fmt::format("the transition {} stalls: not over after {} s{}", what, limit.count(), blocking_tasks(old_state)));
  }
  if (said.status != 0) throw GuestFault(fmt::format("cannot watch {}: {}", name, trimmed(said.output)));
}

/// The first tasks whose patch_state (fs/proc/base.c: 0 unpatched, 1 patched) still is `old_state`, with their stacks.
std::string Checker::blocking_tasks(int old_state) {
  const std::string script = fmt::format(R"(
shown=0
for task in /proc/[0-9]*/task/[0-9]*; do
  read state <$task/patch_state && [ "$state" = {} ] || continue
  echo "task ${{task##*/}} ($(cat $task/comm)) is in:"
  sed 's/^\[<0>\]/   /' $task/stack
  shown=$((shown+1))
  [ $shown -ge 8 ] && break
done 2>/dev/null)",
                                         old_state);
  const GuestResult said = vm_.run(script);
  return said.output.empty() ? std::string() : "; tasks that do not move:\n" + trimmed(said.output);
}

void Checker::disable(const std::string& name) {
  if (vm_.run("test -d " + sysfs(name)).status != 0) return;  // replaced by a later one
  Progress progress("disabling " + name);
  const GuestResult said = vm_.run(fmt::format("echo 0 >{}/enabled", sysfs(name)), check_.command_limit);
  if (said.status != 0) throw GuestFault(fmt::format("{} cannot be disabled: {}", name, trimmed(said.output)));
  wait_for_transition(name, "[ ! -d " + sysfs(name) + " ]", "back from " + name, 1);
}

/// A module that says so in its .modinfo stays loaded for good (escaping-address): the guest's kernel must refuse to
/// unload it.
bool Checker::is_pinned(const std::string& name) const {
  constexpr std::string_view kMark = "klp_diff_pinned=1";
  return std::any_of(check_.modules.begin(), check_.modules.end(), [&](const auto& path) {
    return module_name(path) == name && read_file(path).find(kMark) != std::string::npos;
  });
}

void Checker::unload(const std::string& name) {
  if (is_pinned(name)) {
    const GuestResult said = vm_.run("rmmod " + name, check_.command_limit);
    if (said.status == 0) throw GuestFault(fmt::format("{} was to stay loaded, but could be unloaded", name));
    return;
  }
  // The livepatch core gives up its hold on the module a moment after the directory vanishes.
  const std::string script = fmt::format(R"(
n=0
until rmmod {} 2>/tmp/rmmod; do
  n=$((n+1))
  [ $n -ge 50 ] && cat /tmp/rmmod && exit 1
  usleep 100000
done)",
                                         name);
  const GuestResult said = vm_.run(script, check_.command_limit);
  if (said.status != 0) throw GuestFault(fmt::format("{} cannot be unloaded: {}", name, trimmed(said.output)));
}

void Checker::unload_own() {
  for (; !own_loaded_.empty(); own_loaded_.pop_back()) {
    const GuestResult said = vm_.run("modprobe -r " + shell_word(own_loaded_.back()));
    if (said.status != 0) log("vm").debug("module {} stays loaded: {}", own_loaded_.back(), trimmed(said.output));
  }
}

void Checker::give_up(const GuestFault& fault) {
  result_.good = false;
  result_.failure = fault.reason();
  try {
    if (vm_.alive()) clean_up();
    take_messages();
  } catch (const GuestFault& second) {
    log("vm").debug("clean-up: {}", second.what());
  }
  const std::vector<std::string> trouble = trouble_in(seen_);
  const bool told = !trouble.empty() && result_.failure.find(without_time(trouble.front())) != std::string::npos;
  if (!trouble.empty() && !told) result_.failure += "\nthe kernel reports trouble:" + said_once(trouble);
  result_.console_tail = last_lines(lines_of(seen_), 40);
}

/// Puts the VM back for the next check, as far as possible: a stalled transition is reversed by disabling.
void Checker::clean_up() {
  for (; !loaded_.empty(); loaded_.pop_back()) {
    vm_.run(fmt::format(R"(
n=0
[ -d {0} ] && echo 0 >{0}/enabled
while [ -d {0} ] && [ $n -lt 100 ]; do n=$((n+1)); usleep 100000; done
n=0
until rmmod {1} || [ $n -ge 20 ]; do n=$((n+1)); usleep 100000; done)",
                        sysfs(loaded_.back()), loaded_.back()));
  }
  unload_own();
}

std::string Checker::livepatch_lines() const {
  std::string text;
  for (const std::string& line : lines_of(seen_)) {
    const bool ours = std::any_of(check_.modules.begin(), check_.modules.end(), [&](const auto& module) {
      return line.find(module_name(module) + ":") != std::string::npos;
    });
    if (ours || line.find("livepatch:") != std::string::npos) text += line + "\n";
  }
  return text;
}

}  // namespace

LivepatchCheckResult check_livepatch(Vm& vm, const LivepatchCheck& check) {
  return Checker(vm, check).run();
}

}  // namespace klp::vm
