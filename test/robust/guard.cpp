// The hooks count between begin and end of one run and on its thread; frees of older memory make the count negative,
// which is right: the peak is relative to the start.
#include "guard.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>

// From sanitizer/allocator_interface.h, which gcc does not install.
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* pointer);
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));

// Read by the sanitizers at start. The quarantine of freed memory is kept small, so that the resident size stays near
// what is really in use.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=512:hard_rss_limit_mb=1536:quarantine_size_mb=16:detect_stack_use_after_return=0:"
         "malloc_context_size=12:allocator_may_return_null=0:strict_string_checks=1";
}
extern "C" const char* __ubsan_default_options();
extern "C" const char* __ubsan_default_options() {
  return "print_stacktrace=1:abort_on_error=1";
}

namespace klp::test {
namespace {

const RunLabel* g_current = nullptr;  // set while a run is on
std::atomic<bool> g_counting{false};
std::atomic<int64_t> g_bytes{0}, g_peak{0};

void on_allocation(const volatile void*, size_t size) {
  if (!g_counting) return;
  g_bytes += static_cast<int64_t>(size);
  const int64_t now = g_bytes;
  if (now > g_peak) g_peak = now;
}

void on_free(const volatile void* pointer) {
  if (g_counting && pointer != nullptr) g_bytes -= static_cast<int64_t>(__sanitizer_get_allocated_size(pointer));
}

void tell() {
  if (g_current == nullptr) return;
  const RunLabel label = *g_current;
  g_current = nullptr;
  std::fprintf(stderr, "in this run: %s\n%s\n", label.what.c_str(), keep_inputs(label).c_str());
}

void on_time_out(int) {
  static const char text[] = "\nthe run takes more than its processor time; it stood here:\n";
  [[maybe_unused]] const auto written = write(2, text, sizeof text - 1);
  __sanitizer_print_stack_trace();
  tell();
  _exit(3);
}

// A library without sanitizers (libdw) can only crash; UBSan ends with abort().
void on_crash(int signal) {
  std::fprintf(stderr, "\nsignal %d\n", signal);
  if (signal != SIGABRT) __sanitizer_print_stack_trace();
  tell();
  _exit(4);
}

void install() {
  // Anew each time: Catch sets its own for every test case.
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) std::signal(signal, on_crash);
  static const bool once = [] {
    __sanitizer_install_malloc_and_free_hooks(on_allocation, on_free);
    __sanitizer_set_death_callback(tell);
    std::signal(SIGPROF, on_time_out);
    return true;
  }();
  (void)once;
}

double processor_time() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void set_timer(double seconds) {
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(seconds);
  setitimer(ITIMER_PROF, &timer, nullptr);
}

}  // namespace

Cost guarded(const RunLabel& label, const std::function<void()>& body) {
  install();
  g_current = &label;
  g_bytes = g_peak = 0;
  const double start = processor_time();
  set_timer(kMaxSeconds);
  g_counting = true;
  const auto end = [] {
    g_counting = false;
    set_timer(0);
    g_current = nullptr;
  };
  try {
    body();
  } catch (...) {
    end();
    throw;
  }
  end();
  return {processor_time() - start, static_cast<size_t>(std::max<int64_t>(g_peak, 0))};
}

std::string keep_inputs(const RunLabel& label) {
  std::string names;
  int number = 0;
  for (const auto& bytes : {label.first, label.second}) {
    ++number;
    if (bytes.data() == nullptr) continue;
    const auto path = std::filesystem::temp_directory_path() / fmt::format("klp-robust-{}-{}.o", getpid(), number);
    if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
      std::fwrite(bytes.data(), 1, bytes.size(), file);
      std::fclose(file);
      names += fmt::format("input {}: {}\n", number, path.string());
    }
  }
  return names;
}

}  // namespace klp::test
