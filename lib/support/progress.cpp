#include "support/progress.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

#include <fmt/format.h>

namespace klp {
namespace {

bool g_enabled = false;
std::mutex g_mutex;

bool on_terminal() {
  static const bool terminal = isatty(2) != 0;
  return terminal;
}

}  // namespace

void enable_progress(bool enabled) {
  g_enabled = enabled;
}

Progress::Progress(std::string what, size_t total)
    : what_(std::move(what)), total_(total), start_(std::chrono::steady_clock::now()) {
  const std::lock_guard lock(g_mutex);
  if (on_terminal()) show({});
}

Progress::~Progress() {
  const std::lock_guard lock(g_mutex);
  if (!g_enabled) return;
  const std::string count = total_ > 0 ? fmt::format(" {}/{}", done_, total_) : std::string();
  fmt::print(stderr, "{}{}{}: {:.1f} s\n", on_terminal() ? "\r\033[K" : "", what_, count,
             static_cast<double>(elapsed_ms()) / 1000.0);
}

void Progress::advance(const std::string& detail) {
  const std::lock_guard lock(g_mutex);
  ++done_;
  if (on_terminal()) show(detail);
}

long Progress::elapsed_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::show(const std::string& detail) {
  if (!g_enabled) return;
  const std::string count = total_ > 0 ? fmt::format(" {}/{}", done_, total_) : std::string();
  fmt::print(stderr, "\r\033[K{}{} {:.0f} s {}", what_, count, static_cast<double>(elapsed_ms()) / 1000.0, detail);
  std::fflush(stderr);
}

}  // namespace klp
