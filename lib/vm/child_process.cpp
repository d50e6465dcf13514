// Starting QEMU, talking to it without ever blocking, and making sure that it ends.
//
// One socket pair instead of two pipes: send() with MSG_NOSIGNAL needs no process-wide SIGPIPE setting. Every wait is a
// short poll(), so that interruption is seen within a tenth of a second.
#include "vm/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "support/run.h"

namespace klp::vm {
namespace {

// Only async-signal-safe calls: other threads may hold locks at the fork.
[[noreturn]] void become(const char* program, char** argv, const char* directory, int socket, int error_fd,
                         pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);  // the parent ended before prctl
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  if (chdir(directory) != 0) _exit(126);
  dup2(socket, 0);
  dup2(socket, 1);
  dup2(error_fd, 2);
  execv(program, argv);
  _exit(127);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& command, const fs::path& directory,
                           const std::string& error_log) {
  throw_if_interrupted();
  const auto program = find_program(command.at(0));
  check(program.has_value(), "program '{}' is missing", command[0]);
  std::vector<std::string> arguments = command;
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const fs::path log_path = directory / error_log;
  const int error_fd = open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  check(error_fd >= 0, "cannot write {}: {}", log_path.string(), std::strerror(errno));
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    const int error = errno;
    close(error_fd);
    fail("cannot make a socket pair: {}", std::strerror(error));
  }
  const std::string directory_text = directory.string();
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(program->c_str(), argv.data(), directory_text.c_str(), ends[1], error_fd, parent);
  const int error = errno;
  close(error_fd);
  close(ends[1]);
  socket_ = ends[0];
  if (pid_ < 0) {
    close(socket_);
    fail("cannot start {}: {}", command[0], std::strerror(error));
  }
}

ChildProcess::~ChildProcess() {
  end();
  close(socket_);
}

size_t ChildProcess::send_some(std::string_view text) {
  const ssize_t n = send(socket_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return n > 0 ? static_cast<size_t>(n) : 0;
}

bool ChildProcess::receive_some(std::string& to, std::chrono::milliseconds patience, bool or_room) {
  throw_if_interrupted();
  const auto limit = std::clamp<std::chrono::milliseconds::rep>(patience.count(), 0, 100);
  pollfd waiting{socket_, static_cast<short>(POLLIN | (or_room ? POLLOUT : 0)), 0};
  const int ready = poll(&waiting, 1, static_cast<int>(limit));
  throw_if_interrupted();
  if (ready <= 0 || (waiting.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
  char buffer[65536];
  const ssize_t n = recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n > 0) to.append(buffer, static_cast<size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void ChildProcess::end() {
  reap(WNOHANG);
  if (status_) return;
  kill(pid_, SIGKILL);
  reap(0);
}

std::optional<int> ChildProcess::status() {
  reap(WNOHANG);
  return status_;
}

void ChildProcess::reap(int wait_options) {
  if (status_) return;
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(pid_, &status, wait_options)) < 0 && errno == EINTR) {
  }
  if (ended == pid_) status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (ended < 0) status_ = 126;
}

}  // namespace klp::vm
