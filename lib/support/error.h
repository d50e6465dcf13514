// Errors: bad input, a missing tool, a full disk. One exception type, caught once in main and turned into an exit
// status.
//
// A patch that cannot become a livepatch is not an Error but a list of Findings (finding.h).
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace klp {

/// Exit statuses of every command (docs: design, chapter 3).
enum class ExitStatus : int {
  ok = 0,
  refused = 1,
  usage = 2,
  unchanged = 3,
  failed = 4,
  interrupted = 130,
};

/// What went wrong, outermost context first: "reading fs/x.o: section .rela.text: entry 3: bad symbol index 99".
/// `hint` says what the user can do and may be empty.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string message, std::string hint = {}, ExitStatus status = ExitStatus::failed)
      : std::runtime_error(message), message_(std::move(message)), hint_(std::move(hint)), status_(status) {}

  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& hint() const { return hint_; }
  ExitStatus status() const { return status_; }

  /// Puts one more line of context in front of the message; used while the error travels up.
  void add_context(std::string_view context) { message_ = fmt::format("{}: {}", context, message_); }

 private:
  std::string message_;
  std::string hint_;
  ExitStatus status_;
};

/// Throws Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error with a formatted message unless `condition` holds.
template <typename... Args>
void check(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Runs `body`; an Error that leaves it carries `context` in front.
template <typename Body>
decltype(auto) with_context(std::string_view context, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    error.add_context(context);
    throw;
  }
}

/// Runs `body`; an Error that leaves it without a hint gets this one.
template <typename Body>
decltype(auto) with_hint(std::string_view hint, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error& error) {
    if (!error.hint().empty() || error.status() != ExitStatus::failed) throw;
    throw Error(error.what(), std::string(hint), error.status());
  }
}

}  // namespace klp
