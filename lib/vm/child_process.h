// A program that runs for long while we talk to it: QEMU.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/files.h"

namespace klp::vm {

/// A child in its own process group (a terminal's ^C does not reach it). Its standard input and output are one socket
/// to us, its standard error a file. It gets SIGKILL when the thread that started it ends, and in the destructor.
class ChildProcess {
 public:
  /// Starts `command[0]`, found in PATH, in `directory`; stderr goes to `error_log` there. Error: the program is
  /// missing.
  ChildProcess(const std::vector<std::string>& command, const fs::path& directory, const std::string& error_log);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Sends as much of `text` as the child takes now; returns how much that was (0 when it ended).
  size_t send_some(std::string_view text);

  /// Appends what the child wrote to `to`, waiting at most `patience` for something (or for room to send, when
  /// `or_room`). False when the child closed its side. Throws Error on interruption.
  bool receive_some(std::string& to, std::chrono::milliseconds patience, bool or_room = false);

  /// Ends the child; its status (exit status, or 128 + signal) is kept.
  void end();

  /// The status of a child that ended by itself or through end().
  std::optional<int> status();

 private:
  void reap(int wait_options);

  int pid_ = -1;
  int socket_ = -1;
  std::optional<int> status_;
};

}  // namespace klp::vm
