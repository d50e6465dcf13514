// Progress of long steps: a line that is rewritten on a terminal, one line a step in a log.
#pragma once

#include <chrono>
#include <string>

namespace klp {

/// Whether steps are shown at all (not with -q). Set once by main.
void enable_progress(bool enabled);

/// One step, e.g. Progress step("compiling", 12); step.advance("net/core/dev.c"); The end of its scope ends the step
/// and prints its name and time once. Thread-safe.
class Progress {
 public:
  /// `total` 0: the number of parts is not known.
  explicit Progress(std::string what, size_t total = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// One part is done; `detail` is what comes next or was done. May be empty.
  void advance(const std::string& detail = {});

  /// Milliseconds since the step began.
  long elapsed_ms() const;

 private:
  void show(const std::string& detail);

  std::string what_;
  size_t total_;
  size_t done_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace klp
