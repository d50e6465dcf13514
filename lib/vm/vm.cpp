// A kernel in QEMU.
//
// Two serial ports: the first is the kernel's console, which QEMU writes to a file that stays when everything dies; the
// second is QEMU's own standard input and output, over which the guest's shell serves commands (guest_channel.h).
// Waiting is always a short poll, so that a dead QEMU, a limit and an interruption are seen at once.
#include "vm/vm.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <optional>
#include <sstream>
#include <utility>

#include "elf/elf_object.h"
#include "support/log.h"
#include "support/run.h"
#include "vm/child_process.h"
#include "vm/guest_channel.h"
#include "vm/initramfs.h"
#include "vm/kcore.h"
#include "vm/machine.h"

namespace klp::vm {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr const char* console_file = "console.log";
constexpr const char* error_file = "qemu.log";
constexpr const char* initramfs_file = "initramfs.cpio";

/// A kernel without an architecture is one for x86_64.
const kernel::Target& target_of(const kernel::Kernel& kernel) {
  return kernel::target_named(kernel.arch.empty() ? "x86_64" : kernel.arch);
}

void check_qemu(const Machine& machine) {
  if (find_program(machine.program)) return;
  throw Error(fmt::format("program '{}' is missing", machine.program),
              fmt::format("apt-get install {}", machine.package));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

void check_kernel(const kernel::Kernel& kernel) {
  target_of(kernel);
  if (kernel.image.empty()) {
    throw Error(fmt::format("kernel {} has no bootable image", kernel.release),
                "only a fetched kernel (-k debian:...) can be booted");
  }
  check(fs::is_regular_file(kernel.image), "kernel image {} is missing", kernel.image.string());
}

void write_initramfs(const kernel::Kernel& kernel, const VmOptions& options) {
  InitramfsContent content;
  const kernel::Target& target = target_of(kernel);
  content.busybox = guest_busybox(target);
  if (kernel::is_host(target)) content.applets = lines_of(run_checked({content.busybox.string(), "--list"}));
  content.channel = machine_for(target).channel;
  content.files = options.files;
  content.release = kernel.release;
  content.modules_directory = kernel.boot_modules.empty() ? kernel.modules : kernel.boot_modules;
  content.modules = options.kernel_modules;
  write_file_atomically(options.directory / initramfs_file, make_initramfs(content));
}

/// From 6.4 on a transition begins and ends with rewriting every call of cond_resched()
/// (include/linux/livepatch_sched.h), and waits for the other processors three times at each. They share one thread
/// (qemu_command), so that each wait lasts until a busy one has had its turn of 100 ms: minutes in all.
unsigned processors(const kernel::Kernel& kernel, const VmOptions& options) {
  if (options.cpus != 0) return options.cpus;
  return !kernel.source.empty() && fs::exists(kernel.source / "include/linux/livepatch_sched.h") ? 1 : 2;
}

std::vector<std::string> qemu_command(const kernel::Kernel& kernel, const VmOptions& options) {
  // panic=-1 with -no-reboot: a panic ends QEMU at once. printk.devkmsg: our marks are never rate-limited. The
  // watchdogs get minutes instead of seconds: an emulated processor stands still whenever the host is busy or paused,
  // and a guest that really hangs runs into our own limits. One thread for all processors: with a thread for each,
  // QEMU 7.2 keeps on running a breakpoint that text_poke has taken back (seen on 5.10, where kprobe_int3_handler sends
  // the processor back to the same place for ever, 6.1 and 6.12).
  const Machine machine = machine_for(target_of(kernel));
  const std::string parameters = "console=" + machine.console +
                                 " ignore_loglevel printk.devkmsg=on panic=-1 rdinit=/init watchdog_thresh=60 "
                                 "rcupdate.rcu_cpu_stall_timeout=300";
  // clang-format off
  std::vector<std::string> command = {machine.program, "-nodefaults", "-no-user-config", "-no-reboot",
          "-display", "none",
          "-accel", "tcg,thread=single",
          "-cpu", options.cpu_model.empty() ? machine.processor : options.cpu_model,
          "-smp", std::to_string(processors(kernel, options)),
          "-m", std::to_string(options.memory_mib),
          "-kernel", fs::absolute(kernel.image).string(),
          "-initrd", initramfs_file,
          "-append", options.append.empty() ? parameters : parameters + " " + options.append,
          "-chardev", fmt::format("file,id=console,path={}", console_file),
          "-serial", "chardev:console",
          "-chardev", "stdio,id=channel,signal=off",
          "-serial", "chardev:channel"};
  // clang-format on
  command.insert(command.end(), machine.arguments.begin(), machine.arguments.end());
  return command;
}

std::string last_lines(std::string_view text, size_t count) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  size_t start = text.size();
  while (start > 0 && (text[start - 1] != '\n' || --count > 0)) --start;
  return std::string(text.substr(start));
}

constexpr std::string_view mark_text = "klp-diff: mark ";

/// The console's last lines without our marks.
std::string tail_of(const std::string& console, size_t count) {
  std::string text;
  for (const std::string& line : lines_of(last_lines(console, 2 * count))) {
    if (line.find(mark_text) == std::string::npos) text += line + "\n";
  }
  return last_lines(text, count);
}

std::string shortened(const std::string& command) {
  const std::string line = command.substr(0, command.find('\n'));
  return line.size() > 70 ? line.substr(0, 67) + "..." : line == command ? line : line + " ...";
}

}  // namespace

struct Vm::State {
  State(const kernel::Kernel& kernel, const VmOptions& vm_options)
      : options(vm_options), start(Clock::now()), qemu(qemu_command(kernel, options), options.directory, error_file) {}

  void wait_until(Clock::time_point deadline, const std::string& what, const std::function<bool()>& done);
  void send(std::string_view text, Clock::time_point deadline, const std::string& what);
  GuestResult exchange(const std::string& text, uint64_t id, std::chrono::seconds limit, const std::string& what);
  void boot();
  void refresh_console();
  [[noreturn]] void fault(const std::string& message);
  [[noreturn]] void died(const std::string& what);
  Clock::time_point deadline_in(std::chrono::seconds limit) const;

  VmOptions options;
  Clock::time_point start;
  ChildProcess qemu;
  std::string received;  ///< from the second serial port, not yet used
  std::string console;
  uint64_t console_offset = 0;
  size_t reported = 0;  ///< how much of the console new_kernel_messages() gave out
  uint64_t next_id = 1;
  bool alive = true;
  std::vector<KcoreSegment> segments;
};

Clock::time_point Vm::State::deadline_in(std::chrono::seconds limit) const {
  const auto deadline = Clock::now() + limit;
  return options.time_limit.count() > 0 ? std::min(deadline, start + options.time_limit) : deadline;
}

void Vm::State::refresh_console() {
  const int fd = open((options.directory / console_file).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;  // QEMU has not made it yet
  char buffer[65536];
  for (ssize_t n; (n = pread(fd, buffer, sizeof buffer, static_cast<off_t>(console_offset))) > 0;) {
    console_offset += static_cast<uint64_t>(n);
    std::copy_if(buffer, buffer + n, std::back_inserter(console), [](char c) { return c != '\r' && c != '\0'; });
  }
  close(fd);
}

void Vm::State::fault(const std::string& message) {
  alive = false;
  qemu.end();
  refresh_console();
  // A stack dump pushes its own first line out of the tail.
  const std::vector<std::string> trouble = trouble_in(console.substr(std::min(reported, console.size())));
  throw GuestFault(trouble.empty() ? message : message + "; the kernel reports: " + trouble.front(),
                   tail_of(console, 30));
}

void Vm::State::died(const std::string& what) {
  qemu.end();
  refresh_console();
  if (console.empty()) {
    alive = false;
    const std::string said = last_lines(read_file(options.directory / error_file), 10);
    throw Error(
        fmt::format("QEMU ended with status {}: {}", qemu.status().value_or(0), said.empty() ? "no message" : said));
  }
  const int status = qemu.status().value_or(0);
  if (console.find("Kernel panic") != std::string::npos) fault("the guest kernel panicked " + what);
  if (status == 0) fault("the guest switched itself off " + what);
  fault(fmt::format("QEMU ended with status {} {}", status, what));
}

/// Receives until `done`. What the guest still sent before it died counts.
void Vm::State::wait_until(Clock::time_point deadline, const std::string& what, const std::function<bool()>& done) {
  while (!done()) {
    if (!qemu.receive_some(received, 100ms)) {
      if (done()) return;
      died("in " + what);
    }
    if (Clock::now() > deadline) {
      const bool life = options.time_limit.count() > 0 && Clock::now() >= start + options.time_limit;
      fault(life ? fmt::format("the VM's time limit of {} s passed in {}", options.time_limit.count(), what)
                 : fmt::format("time limit: {} did not end", what));
    }
  }
}

void Vm::State::send(std::string_view text, Clock::time_point deadline, const std::string& what) {
  wait_until(deadline, what, [&] {
    text.remove_prefix(qemu.send_some(text));
    return text.empty();
  });
}

GuestResult Vm::State::exchange(const std::string& text, uint64_t id, std::chrono::seconds limit,
                                const std::string& what) {
  if (!alive) throw GuestFault("the VM is no longer there");
  const Clock::time_point deadline = deadline_in(limit);
  received.clear();
  send(text, deadline, what);
  std::optional<GuestResult> answer;
  const std::string end = end_mark(id);
  size_t looked_at = 0;
  wait_until(deadline, what, [&] {
    const size_t from = looked_at - std::min(looked_at, end.size());  // a long answer is not searched again and again
    looked_at = received.size();
    if (received.find(end, from) != std::string::npos) answer = find_answer(received, id);
    return answer.has_value();
  });
  return std::move(*answer);
}

void Vm::State::boot() {
  wait_until(deadline_in(options.boot_limit), "the boot", [this] { return is_ready(received); });
  log("vm").debug("booted in {} ms",
                  std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count());
}

Vm::Vm(const kernel::Kernel& kernel, const VmOptions& options) {
  check_kernel(kernel);
  check_qemu(machine_for(target_of(kernel)));
  write_initramfs(kernel, options);
  std::error_code ignored;
  fs::remove(options.directory / console_file, ignored);
  state_ = std::make_unique<State>(kernel, options);
  state_->boot();
}

Vm::~Vm() = default;

GuestResult Vm::run(const std::string& command, std::chrono::seconds limit) {
  const uint64_t id = state_->next_id++;
  return state_->exchange(command_line(id, command), id, limit, fmt::format("guest command '{}'", shortened(command)));
}

void Vm::copy_in(const std::filesystem::path& file) {
  const uint64_t id = state_->next_id++;
  const std::string name = file.filename().string();
  check(name.find_first_of(" \t\n\\") == std::string::npos, "a guest file's name cannot have blanks: {}", name);
  const GuestResult result = state_->exchange(put_lines(id, name, read_file(file)), id, 180s, "copying " + name);
  check(result.status == 0, "cannot copy {} into the guest: {}", name, result.output);
}

std::vector<std::byte> Vm::read_memory(uint64_t address, uint64_t size) {
  const auto read_range = [this](uint64_t offset, uint64_t count) {
    const std::string part =
        run(fmt::format("dd if=/proc/kcore bs=4096 iflag=skip_bytes,count_bytes skip={} count={} 2>/dev/null", offset,
                        count))
            .output;
    check(part.size() == count, "the guest's /proc/kcore gave {} of {} bytes at offset {:#x}", part.size(), count,
          offset);
    const auto* first = reinterpret_cast<const std::byte*>(part.data());
    return std::vector<std::byte>(first, first + part.size());
  };
  if (state_->segments.empty()) {
    const uint64_t headers = kcore_headers_size(read_range(0, 64));
    state_->segments = kcore_segments(read_range(0, headers));
  }
  constexpr uint64_t most_at_once = 1 << 20;
  check(size <= 64 * most_at_once, "cannot read {} bytes of guest memory at once", size);
  const uint64_t offset = kcore_offset(state_->segments, address, size);
  std::vector<std::byte> bytes;
  while (bytes.size() < size) {
    const auto part = read_range(offset + bytes.size(), std::min(most_at_once, size - bytes.size()));
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

std::string Vm::new_kernel_messages() {
  if (!state_->alive) {
    state_->refresh_console();
    return state_->console.substr(std::exchange(state_->reported, state_->console.size()));
  }
  // A message of our own marks the end: the console prints in order, on whichever CPU.
  const std::string mark = fmt::format("{}{}.", mark_text, state_->next_id);
  run(fmt::format("echo '<6>{}' >/dev/kmsg", mark));
  state_->wait_until(state_->deadline_in(30s), "printing kernel messages", [&] {
    state_->refresh_console();
    const size_t mark_at = state_->console.find(mark, state_->reported);
    return mark_at != std::string::npos && state_->console.find('\n', mark_at) != std::string::npos;
  });
  const std::string_view console = state_->console;
  const size_t line_start = console.rfind('\n', console.find(mark, state_->reported)) + 1;
  std::string messages(console.substr(state_->reported, std::max(line_start, state_->reported) - state_->reported));
  state_->reported = console.find('\n', console.find(mark, state_->reported)) + 1;
  return messages;
}

const std::string& Vm::console() const {
  state_->refresh_console();
  return state_->console;
}

std::string Vm::console_tail(size_t lines) const {
  return tail_of(console(), lines);
}

bool Vm::alive() const {
  return state_->alive && !state_->qemu.status();
}

}  // namespace klp::vm
