// klp-diff boot: a fetched kernel in QEMU, livepatches loaded, commands run before, with the patch, and after.
#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "commands.h"
#include "elf/elf_object.h"
#include "options.h"
#include "support/files.h"
#include "support/log.h"
#include "support/progress.h"
#include "vm/livepatch_check.h"
#include "vm/livepatch_queue.h"
#include "vm/vm.h"

namespace klp::tools {
namespace {

struct BootOptions {
  kernel::KernelSelection kernel;
  std::vector<fs::path> livepatches;
  std::vector<std::string> commands;
  std::vector<std::string> modules_before, modules_after;
  std::vector<fs::path> files;
  std::string cpu;
  std::string append;
  unsigned cpus = 0;
  unsigned memory_mib = 1024;
  unsigned timeout_s = 120;
  bool each = false;
};

constexpr const char* description =
    "boot a fetched kernel in QEMU, load livepatches, run commands, disable and unload them again";

constexpr const char* footer = R"(
What happens, in this order:
  1. The kernel, as the distribution ships it (for ppc64, as --vmlinux has it), starts in QEMU (emulated, so /dev/kvm is not needed) with busybox as its
     only user space; the --module ones are loaded.
  2. Each --run command runs: "before".
  3. The livepatches are loaded in the order given; each transition is waited for. The --module-after ones are loaded.
  4. Each --run command runs: "patched".
  5. The livepatches are disabled and unloaded, the last one first. One that a later one replaced is only unloaded.
  6. Each --run command runs: "after".

A command runs in busybox's shell, as root, in /; its exit status is shown when it is not 0 and counts as no fault. Files
named with --file, and the livepatches, lie in /.

Standard output has a block for each command and the kernel's livepatch messages.

With --each, every livepatch goes through steps 3 to 5 on its own, in one VM, which is booted again only after a failure.
The modules that a livepatch patches are loaded before it where the kernel can load them; what belongs to the others
stays to be applied later ("late"). --timeout is then for each step. Standard output has one line for each livepatch,
with four fields between tabs: its file, "applied", "late" (the same, but not all patched modules were there) or
"failed", the modules that were not there, and the reason.

Exit status: 0 when all went well. 1 when the kernel refused a module (its reason is shown), a transition stalled (the
tasks that block it are shown), a command did not end, the VM's time limit passed, or the kernel reported an oops, a
warning, a lockup or a livepatch error; the end of the console follows. 4 when something needed is missing: QEMU, busybox,
the kernel's image, a file.

Needs the packages qemu-system-x86 and busybox-static; for ppc64 qemu-system-ppc (its busybox is fetched into the cache).

Examples:
  klp-diff boot livepatch_fix.ko -k debian:6.1-cloud-amd64 --run 'grep Chunk /proc/meminfo'
  klp-diff boot livepatch_xfs.ko -k debian:6.1-cloud-amd64 --module-after xfs --run 'dmesg | tail -n 3'
  klp-diff boot livepatch_fix.ko -k debian:6.12-cloud-amd64 --cpu Skylake-Server --append retbleed=stuff
  klp-diff boot --each -k debian:6.1-cloud-amd64 out/*.ko)";

void check_files(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    if (!fs::is_regular_file(file))
      throw Error(fmt::format("{} is {}", file.string(), fs::exists(file) ? "not a file" : "missing"),
                  "check the path");
  }
}

/// What is no module at all need not be shown to a kernel.
void check_modules(const std::vector<fs::path>& modules) {
  for (const fs::path& module : modules) {
    with_hint("give a whole kernel module (.ko), as klp-diff build writes it",
              [&] { elf::ElfObject::read(module, elf::ElfObject::Want::symbols_only); });
  }
}

vm::VmOptions vm_options(const BootOptions& options, const fs::path& directory) {
  vm::VmOptions result;
  result.directory = directory;
  result.cpus = options.cpus;
  result.memory_mib = options.memory_mib;
  result.cpu_model = options.cpu;
  result.append = options.append;
  result.files = options.livepatches;
  result.files.insert(result.files.end(), options.files.begin(), options.files.end());
  result.kernel_modules = options.modules_before;
  result.kernel_modules.insert(result.kernel_modules.end(), options.modules_after.begin(), options.modules_after.end());
  result.time_limit = result.boot_limit = std::chrono::seconds(options.timeout_s);
  return result;
}

/// One output: the label in the first column, further lines below the first one.
void print_output(std::string_view label, const std::string& output, int status, bool color) {
  if (status < 0) return;  // was not run
  std::string text = output;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (status != 0) text += fmt::format("{}(exit status {})", text.empty() ? "" : "\n", status);
  if (text.empty()) text = "(no output)";
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    fmt::print("  {}{:<9}{}{}\n", color ? "\033[1m" : "", start == 0 ? label : "", color ? "\033[0m" : "",
               std::string_view(text).substr(start, end - start));
    start = end + 1;
  }
}

void print_result(const vm::LivepatchCheckResult& result, bool color) {
  for (const auto& outputs : result.outputs) {
    fmt::print("$ {}\n", outputs.command);
    print_output("before", outputs.before, outputs.before_status, color);
    print_output("patched", outputs.patched, outputs.patched_status, color);
    print_output("after", outputs.after, outputs.after_status, color);
    fmt::print("\n");
  }
  if (!result.messages.empty()) fmt::print("kernel messages:\n{}", result.messages);
  std::fflush(stdout);
}

/// One line of the queue's output; kept in step with scripts/corpus.
void print_queue_result(const vm::QueueResult& result) {
  std::string late, reason = vm::one_line(result.check.failure);
  for (const auto& [module, why] : result.late) {
    late += (late.empty() ? "" : " ") + module;
    reason += fmt::format("{}{}: {}", reason.empty() ? "" : "; ", module, why);
  }
  const char* outcome = !result.check.good ? "failed" : late.empty() ? "applied" : "late";
  fmt::print("{}\t{}\t{}\t{}\n", result.livepatch.string(), outcome, late, reason);
  std::fflush(stdout);
  if (result.check.good || result.check.console_tail.empty()) return;
  fmt::print(stderr, "klp-diff: {}\n  the console's last lines:\n{}", result.check.failure, result.check.console_tail);
}

ExitStatus run_each(const BootOptions& options, const kernel::Kernel& kernel, const fs::path& directory) {
  vm::QueueOptions queue;
  queue.vm = vm_options(options, directory);
  queue.vm.files = options.files;
  queue.vm.time_limit = std::chrono::seconds(0);
  queue.limit = std::chrono::seconds(options.timeout_s);
  bool good = true;
  vm::run_livepatch_queue(kernel, options.livepatches, queue, [&](const vm::QueueResult& result) {
    good = good && result.check.good;
    print_queue_result(result);
  });
  return good ? ExitStatus::ok : ExitStatus::refused;
}

ExitStatus run_boot(const BootOptions& options, const CommonOptions& common) {
  check_files(options.livepatches);
  check_files(options.files);
  check_modules(options.livepatches);
  const kernel::Kernel kernel = kernel::open_kernel(options.kernel);
  const TempDir directory(fs::temp_directory_path(), "klp-diff-boot");
  if (options.each) return run_each(options, kernel, directory.path());

  std::unique_ptr<vm::Vm> machine;
  {
    Progress progress("booting " + kernel.release);
    machine = std::make_unique<vm::Vm>(kernel, vm_options(options, directory.path()));
  }
  for (const std::string& line : vm::trouble_in(machine->new_kernel_messages())) {
    log("boot").warn("before any livepatch, the kernel said: {}", line);
  }
  vm::LivepatchCheck check;
  check.modules = options.livepatches;
  check.commands = options.commands;
  check.modules_before = options.modules_before;
  check.modules_after = options.modules_after;
  check.command_limit = std::chrono::seconds(options.timeout_s);  // the VM's own limit comes first
  check.transition_limit = std::chrono::seconds(std::max(options.timeout_s / 2, 1U));
  const vm::LivepatchCheckResult result = vm::check_livepatch(*machine, check);

  print_result(result, use_color(common, STDOUT_FILENO));
  if (result.good) return ExitStatus::ok;
  fmt::print(stderr, "klp-diff: {}\n", result.failure);
  if (!result.console_tail.empty()) fmt::print(stderr, "  the console's last lines:\n{}", result.console_tail);
  return ExitStatus::refused;
}

}  // namespace

void add_boot_command(CLI::App& app, const CommonOptions& common, ExitStatus& status) {
  auto options = std::make_shared<BootOptions>();
  CLI::App* command = app.add_subcommand("boot", description);
  command->footer(footer);
  command->add_option("MODULE.ko", options->livepatches, "livepatch modules, loaded in this order")->required();
  add_kernel_options(*command, options->kernel);
  command->add_option("--run", options->commands, "a shell command to run before, with the patch and after; repeatable")
      ->type_name("CMD")
      ->allow_extra_args(false);
  command
      ->add_option("--module", options->modules_before,
                   "a module of the kernel to load before the livepatch; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--module-after", options->modules_after, "one to load once the livepatch is there; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--file", options->files, "a file to copy into the guest's /; repeatable")
      ->type_name("HOSTPATH")
      ->allow_extra_args(false);
  command->add_flag("--each", options->each, "each livepatch on its own, one after the other, whatever becomes of one")
      ->excludes("--run", "--module", "--module-after");
  command
      ->add_option(
          "--cpu", options->cpu,
          "the VM's processor, a model of QEMU's (qemu-system-x86_64 -cpu help); default: max, for ppc64 POWER9")
      ->type_name("MODEL");
  command->add_option("--append", options->append, "further kernel parameters")->type_name("TEXT");
  command->add_option("--cpus", options->cpus, "processors of the VM (default: 2; 1 on 6.4 and later)")
      ->check(CLI::Range(1U, 64U));
  command->add_option("--memory", options->memory_mib, "its memory in MiB")
      ->capture_default_str()
      ->check(CLI::Range(256U, 65536U));
  command->add_option("--timeout", options->timeout_s, "time limit of the VM in seconds")
      ->capture_default_str()
      ->check(CLI::Range(1U, 86400U));
  command->callback([options, &common, &status] { status = run_boot(*options, common); });
}

}  // namespace klp::tools
