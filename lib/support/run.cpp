#include "support/run.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace klp {
namespace {

std::atomic<bool> g_interrupted{false};

void on_signal(int) {
  g_interrupted = true;
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe: {}", std::strerror(errno));
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  void close_read() {
    if (read_end >= 0) close(read_end);
    read_end = -1;
  }
  void close_write() {
    if (write_end >= 0) close(write_end);
    write_end = -1;
  }
};

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  variables["LC_ALL"] = "C";
  for (const auto& [name, value] : added) variables[name] = value;
  std::vector<std::string> result;
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Only async-signal-safe calls: other threads may hold locks at the fork.
[[noreturn]] void become_child(const char* program, char** argv, char** envp, const char* directory, int in, int out,
                               int err) {
  setpgid(0, 0);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  if (directory[0] != '\0' && chdir(directory) != 0) _exit(126);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  execve(program, argv, envp);
  _exit(127);
}

/// Moves data between us and the child until it closes its output; ends it on interruption or at the time limit.
class Conversation {
 public:
  Conversation(pid_t child, const RunOptions& options, Pipe& in, Pipe& out, Pipe& err)
      : child_(child), options_(options), in_(in), out_(out), err_(err) {
    fcntl(in_.write_end, F_SETFL, O_NONBLOCK);
    if (options.input.empty()) in_.close_write();
    if (options.time_limit) deadline_ = std::chrono::steady_clock::now() + *options.time_limit;
  }

  void hold(RunResult& result) {
    while (out_.read_end >= 0 || err_.read_end >= 0) {
      end_child_when_due(result);
      pollfd fds[3] = {{out_.read_end, POLLIN, 0}, {err_.read_end, POLLIN, 0}, {in_.write_end, POLLOUT, 0}};
      if (poll(fds, 3, 100) <= 0) {
        if (ended_ && exited()) break;
        continue;
      }
      if (fds[0].revents != 0) read_some(out_, result.output);
      if (fds[1].revents != 0) read_some(err_, result.error_output);
      if (fds[2].revents != 0) write_some();
    }
    if (ended_) end_stragglers();
  }

 private:
  void end_child_when_due(RunResult& result) {
    const auto now = std::chrono::steady_clock::now();
    const bool late = deadline_ && now > *deadline_;
    if (!ended_ && (interrupted() || late)) {
      kill(-child_, SIGTERM);
      ended_ = true;
      kill_at_ = now + std::chrono::seconds(3);
      result.timed_out = late;
    } else if (ended_ && now > kill_at_) {
      kill(-child_, SIGKILL);
    }
  }
  /// A shell that was ended may leave a compiler behind, which would go on writing. Until the child is reaped its
  /// group's id is not reused.
  void end_stragglers() const {
    siginfo_t info{};
    while (waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    kill(-child_, SIGKILL);
  }
  bool exited() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child_;
  }
  static void read_some(Pipe& pipe, std::string& to) {
    char buffer[65536];
    const ssize_t n = read(pipe.read_end, buffer, sizeof buffer);
    if (n > 0) to.append(buffer, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) pipe.close_read();
  }
  void write_some() {
    const ssize_t n = write(in_.write_end, options_.input.data() + written_, options_.input.size() - written_);
    if (n > 0) written_ += static_cast<size_t>(n);
    if ((n < 0 && errno != EINTR && errno != EAGAIN) || written_ == options_.input.size()) in_.close_write();
  }

  pid_t child_;
  const RunOptions& options_;
  Pipe& in_;
  Pipe& out_;
  Pipe& err_;
  size_t written_ = 0;
  bool ended_ = false;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::chrono::steady_clock::time_point kill_at_;
};

std::string last_lines(const std::string& text, int count) {
  size_t start = text.size();
  while (start > 0 && count > 0) {
    --start;
    if (text[start] == '\n' && start + 1 != text.size()) --count;
  }
  if (start > 0) ++start;
  return text.substr(start);
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool interrupted() {
  return g_interrupted;
}

void throw_if_interrupted() {
  if (interrupted()) throw Error("interrupted", {}, ExitStatus::interrupted);
}

std::optional<fs::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), X_OK) == 0) return fs::path(name);
    return std::nullopt;
  }
  const char* variable = std::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "/usr/sbin:/usr/bin:/sbin:/bin";
  for (size_t start = 0; start <= path.size();) {
    const size_t colon = std::min(path.find(':', start), path.size());
    const fs::path candidate = fs::path(path.substr(start, colon - start)) / name;
    if (access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate)) return candidate;
    start = colon + 1;
  }
  return std::nullopt;
}

RunResult run(const std::vector<std::string>& command, const RunOptions& options) {
  check(!command.empty(), "nothing to run");
  throw_if_interrupted();
  const auto program = find_program(command[0]);
  if (!program)
    throw Error(fmt::format("program '{}' is missing", command[0]),
                fmt::format("install the package that has {}", command[0]));

  std::vector<std::string> arguments = command;
  std::vector<std::string> environment = merged_environment(options.environment);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  Pipe in, out, err;
  const std::string directory = options.directory.string();
  const pid_t child = fork();
  check(child >= 0, "cannot start {}: {}", command[0], std::strerror(errno));
  if (child == 0) {
    become_child(program->c_str(), const_cast<char**>(argv.data()), const_cast<char**>(envp.data()), directory.c_str(),
                 in.read_end, out.write_end, options.merge_output ? out.write_end : err.write_end);
  }
  in.close_read();
  out.close_write();
  err.close_write();

  RunResult result;
  Conversation(child, options, in, out, err).hold(result);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  throw_if_interrupted();
  return result;
}

std::string run_checked(const std::vector<std::string>& command, const RunOptions& options) {
  RunResult result = run(command, options);
  if (result.status == 0 && !result.timed_out) return std::move(result.output);
  fail("{} ended with status {}{}:\n{}", command[0], result.status, result.timed_out ? " (time limit)" : "",
       last_lines(result.output + result.error_output, 15));
}

}  // namespace klp
