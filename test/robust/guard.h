// Limits of one run: processor time and memory, and a word about what ran when a sanitizer ends the process.
//
// Processor time, because wall time of a loaded machine says nothing; a timer ends the process when a run does not
// come back. Memory is what the run has allocated at its peak, counted by the sanitizer's allocation hooks: the
// resident size of a sanitized process is mostly the sanitizer's own.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace klp::test {

inline constexpr double kMaxSeconds = 5;
inline constexpr size_t kMaxBytes = 512U << 20;

struct Cost {
  double seconds = 0;     ///< of processor time
  size_t peak_bytes = 0;  ///< allocated by the run, at its peak; 0 without the sanitizer
};

/// What a run is and its inputs, for a process that dies in it: they are written to files in the temporary directory.
struct RunLabel {
  std::string what;
  std::span<const std::byte> first{}, second{};
};

/// Runs `body` once. A run over kMaxSeconds, a single allocation over kMaxBytes or a finding of a sanitizer ends the
/// process with the label and the names of the files on standard error. Not for several threads.
Cost guarded(const RunLabel& label, const std::function<void()>& body);

/// Writes the label's inputs to files; returns their names.
std::string keep_inputs(const RunLabel& label);

}  // namespace klp::test
