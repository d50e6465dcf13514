// klp-as CHANGE ASSEMBLER ARGUMENT...: stands in front of the assembler for units of livepatches. It runs ASSEMBLER
// with the same arguments, the input changed: "call-nops" (arch/ppc64/call_nops.h) or "long-branches"
// (arch/x86_64/long_branches.h).
//
// gcc gives the input as a file, or, with -pipe, as standard input. The completed text goes to ASSEMBLER as its
// standard input from memory, so that nothing is left over when a compilation is interrupted.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "arch/ppc64/call_nops.h"
#include "arch/x86_64/long_branches.h"

namespace {

constexpr int kCannotRun = 127;

int fault(const std::string& what) {
  std::fprintf(stderr, "klp-as: %s: %s\n", what.c_str(), std::strerror(errno));
  return kCannotRun;
}

/// Options of GNU as whose value is the next argument (as of gcc's specs for these targets, and as --help).
bool takes_value(const std::string& option) {
  for (const char* known : {"-o", "-I", "--defsym", "--MD", "--debug-prefix-map"}) {
    if (option == known) return true;
  }
  return false;
}

/// The position of the input file; 0: standard input.
size_t input_argument(const std::vector<std::string>& arguments) {
  size_t found = 0;
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (takes_value(arguments[i])) {
      ++i;
    } else if (arguments[i] == "-" || arguments[i] == "--" || !arguments[i].starts_with('-')) {
      found = i;
    }
  }
  return found;
}

std::string all_of(std::istream& in) {
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

/// Makes `text` our standard input; false with errno set.
bool feed(const std::string& text) {
  const int fd = memfd_create("assembly", 0);
  if (fd < 0) return false;
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO;
}

}  // namespace

int main(int argc, char** argv) {
  using Change = std::string (*)(std::string_view);
  const std::string_view name = argc > 2 ? argv[1] : "";
  const Change change = name == "call-nops"       ? klp::arch::with_call_nops
                        : name == "long-branches" ? klp::arch::with_long_branches
                                                  : Change{};
  if (change == nullptr) {
    std::fprintf(stderr, "usage: klp-as call-nops|long-branches ASSEMBLER ARGUMENT...\n");
    return kCannotRun;
  }
  std::vector<std::string> arguments(argv + 2, argv + argc);
  const size_t input = input_argument(arguments);
  std::string text;
  if (input == 0 || arguments[input].starts_with('-')) {
    // `as --version` has no input, and a terminal is none.
    if (isatty(STDIN_FILENO) == 0) text = all_of(std::cin);
  } else {
    std::ifstream file(arguments[input], std::ios::binary);
    if (!file) return fault(arguments[input]);
    text = all_of(file);
  }
  const std::string completed = change(text);
  if (input == 0 || arguments[input].starts_with('-') || completed != text) {
    if (!feed(completed)) return fault("the assembly");
    if (input != 0) arguments[input] = "--";
  }
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  return fault(arguments[0]);
}
