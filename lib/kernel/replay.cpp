// kbuild's command is a line of shell: compiler, then (where this kernel does so) objtool, separated by ';'. It is kept
// as it is but for the names of its outputs, which are words of their own, and for what fixdep and make would do
// afterwards.
#include "kernel/replay.h"

#include <algorithm>

#include "kernel/apt.h"
#include "kernel/module_link.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

bool ends_word(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '>' || c == ')';
}

/// Calls `replace` for each word of the command outside quotes; words are separated by blanks and shell operators.
template <typename Replace>
std::string replace_words(const std::string& command, Replace replace) {
  std::string result;
  size_t at = 0;
  while (at < command.size()) {
    if (ends_word(command[at])) {
      result += command[at++];
      continue;
    }
    const size_t start = at;
    char quote = 0;
    for (; at < command.size() && (quote != 0 || !ends_word(command[at])); ++at) {
      if (quote == 0 && command[at] == '\\') {
        ++at;
      } else if (quote == 0 && (command[at] == '\'' || command[at] == '"')) {
        quote = command[at];
      } else if (command[at] == quote) {
        quote = 0;
      }
    }
    result += replace(command.substr(start, at - start));
  }
  return result;
}

}  // namespace

std::string replay_script(const Unit& unit, const fs::path& root, const fs::path& source, const fs::path& object,
                          const fs::path& depfile, const std::vector<std::string>& options, ReplayOutput output,
                          const std::string& compiler) {
  const bool preprocess = output == ReplayOutput::preprocessed;
  std::string command = unit.command.substr(0, unit.command.find("; scripts/basic/fixdep"));
  // Behind the compiler comes objtool, which has nothing to do for preprocessed text. With --link it looks at a linked
  // module (scripts/Makefile.lib: delay-objtool), here one of a single unit: it will do so at the livepatch's link, and
  // finds nothing to add to a unit that it has seen.
  const size_t behind = command.find(" ; ");
  if (behind != std::string::npos && (preprocess || command.find(" --link ", behind) != std::string::npos))
    command.resize(behind);
  if (!compiler.empty()) command = compiler + command.substr(std::min(command.find(' '), command.size()));
  bool has_output = false, has_depfile = false;
  const std::string redirected = replace_words(command, [&](const std::string& word) {
    for (const std::string_view option : {"-Wp,-MMD,", "-Wp,-MD,"}) {
      if (!word.starts_with(option)) continue;
      has_depfile = true;
      std::string words = std::string(option) + quoted(depfile.string());
      for (const std::string& further : options) words += " " + quoted(further);
      return words;
    }
    if (word.starts_with("./tools/") || word.starts_with("tools/objtool/"))
      return quoted((source / word).lexically_normal().string());
    if (preprocess && (word == "-c" || word == "-S" || word == "-E")) return std::string("-E -P");
    if (word == "-c") return "-fdebug-prefix-map=" + quoted(root.string() + "=/kernel") + " -c";
    // kbuild spells what a Makefile takes from elsewhere as arch/x86/kvm/../../../virt/kvm/kvm_main.o.
    if (fs::path(word).lexically_normal() != unit.unit) return word;
    has_output = true;
    return quoted(object.string());
  });
  check(has_output && has_depfile, "the recorded command of {} names no output or no dependency file: {}", unit.unit,
        command.substr(0, 200));
  // What the environment of the user could add to every compilation.
  const std::string clean =
      "unset CPATH C_INCLUDE_PATH GCC_EXEC_PREFIX COMPILER_PATH LIBRARY_PATH DEPENDENCIES_OUTPUT SUNPRO_DEPENDENCIES; ";
  return fmt::format("set -e; {}rm -f {}; {}", clean, quoted(object.string()), redirected);
}

std::string compiler_words(const std::string& launcher, const std::string& compiler) {
  return launcher.empty() ? compiler : launcher + " " + compiler;
}

ReplayResult replay(const Unit& unit, const fs::path& root, const fs::path& source, const fs::path& object,
                    const std::vector<std::string>& compiler_options, ReplayOutput output,
                    const std::string& compiler) {
  std::error_code error;
  fs::create_directories(object.parent_path(), error);
  const fs::path depfile = object.string() + ".d";
  RunOptions options;
  options.directory = root;
  const RunResult run_result = run(
      {"sh", "-c", replay_script(unit, root, source, object, depfile, compiler_options, output, compiler)}, options);
  ReplayResult result{run_result.status == 0 && fs::exists(object, error), run_result.output, {}};
  if (!result.good) {
    fs::remove(object, error);
    check_disk_space("compiling " + unit.unit, result.output, object.parent_path());
    if (result.output.empty()) result.output = fmt::format("the compiler ended with status {}\n", run_result.status);
    return result;
  }
  result.dependencies = parse_dependencies(read_file(depfile));
  return result;
}

std::vector<std::string> parse_dependencies(const std::string& text) {
  std::vector<std::string> result;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) result.push_back(word);
    word.clear();
  };
  const size_t colon = text.find(": ");
  for (size_t i = colon == std::string::npos ? text.size() : colon + 1; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : '\0';
    if ((c == '\\' && (next == ' ' || next == '#')) || (c == '$' && next == '$')) {
      word += text[++i];
    } else if (c == '\\' && next == '\n') {
      end_word();
      ++i;
    } else if (c == '\n') {
      break;  // phony targets follow
    } else if (c == ' ' || c == '\t') {
      end_word();
    } else {
      word += c;
    }
  }
  end_word();
  return result;
}

std::string first_errors(const std::string& output, size_t limit) {
  size_t start = output.find("error:");
  if (start != std::string::npos) start = output.rfind('\n', start) + 1;  // npos + 1 is 0
  if (start == std::string::npos) start = 0;
  std::string result;
  for (size_t at = start, lines = 0; at < output.size() && lines < limit; ++lines) {
    const size_t end = std::min(output.find('\n', at), output.size());
    result += output.substr(at, end - at) + "\n";
    at = end + 1;
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

}  // namespace klp::kernel
