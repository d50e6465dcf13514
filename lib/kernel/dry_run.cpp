// `make -n` prints each recipe as one line: traps, the command, then fixdep with the command once more. The command
// stands after the last trap. Which objects a module has is said by the recipe of its .mod file. Kernels before 5.16
// run objtool in a recipe of its own, which follows the compiler's.
#include "kernel/dry_run.h"

#include <algorithm>
#include <thread>

#include "support/files.h"
#include "support/log.h"
#include "support/progress.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr std::string_view kLastTrap = "kill -s PIPE $$' PIPE; ";

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = text.find_first_not_of(' '); at != text.npos;) {
    const size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(' ', end);
  }
  return words;
}

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

std::string normal_path(std::string_view path) {
  return fs::path(path).lexically_normal().string();
}

std::string kernel_spelling(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// "-DKBUILD_MODNAME='"a:b"'" -> {"a", "b"}.
std::vector<std::string> modules_of_command(std::string_view command) {
  constexpr std::string_view start = "-DKBUILD_MODNAME='\"";
  const size_t at = command.find(start);
  std::vector<std::string> modules;
  if (at == command.npos) return modules;
  const std::string_view names =
      command.substr(at + start.size(), command.find('"', at + start.size()) - at - start.size());
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = std::min(names.find(':', begin), names.size());
    modules.push_back(kernel_spelling(std::string(names.substr(begin, end - begin))));
    begin = end + 1;
  }
  return modules;
}

/// A unit from its command; one with an empty name when the command compiles no kernel source.
Unit parse_command(std::string_view command) {
  const std::string_view first = command.substr(0, command.find(';'));
  if (first.find(" -D__KERNEL__") == first.npos) return {};
  const std::vector<std::string_view> words = split_words(first);
  const size_t count = words.size();
  if (count < 4 || words[count - 3] != "-o" || words[0] == "sh") return {};
  Unit unit;
  unit.unit = normal_path(words[count - 2]);
  unit.source = normal_path(words[count - 1]);
  unit.command = trimmed(command);
  if (first.find(" -DMODULE") == first.npos)
    unit.objects = {"vmlinux"};
  else
    unit.objects = modules_of_command(first);
  return unit;
}

std::string_view command_of_line(std::string_view line) {
  const size_t trap = line.rfind(kLastTrap);
  if (trap == line.npos) return {};
  std::string_view command = line.substr(trap + kLastTrap.size());
  for (std::string_view end : {"; scripts/basic/fixdep ", "; printf '%s\\n' 'savedcmd_", "; printf '%s\\n' 'cmd_"}) {
    command = command.substr(0, command.find(end));
  }
  return command;
}

/// Notes the module for each object: `objects` are words, `prefix` stands before each of them.
void add_module(std::string_view objects, std::string_view prefix, std::string_view file,
                std::map<std::string, std::vector<std::string>>& modules) {
  const std::string name = kernel_spelling(fs::path(trimmed(file)).stem().string());
  for (std::string_view object : split_words(objects))
    modules[normal_path(std::string(prefix) + std::string(object))].push_back(name);
}

/// The recipe of DIR/NAME.mod: "printf '%s\n'  a.o b.o | awk '... print("DIR/"$0) }' > DIR/NAME.mod", before 5.19
/// "{ echo  DIR/a.o DIR/b.o;  echo; } > DIR/NAME.mod".
void parse_module(std::string_view command, std::map<std::string, std::vector<std::string>>& modules) {
  constexpr std::string_view start = "printf '%s\\n' ", old_start = "{ echo ", print = "print(\"";
  const size_t target = command.rfind("> ");
  if (target == command.npos) return;
  if (command.starts_with(old_start)) {
    const std::string_view objects = command.substr(old_start.size(), command.find(';') - old_start.size());
    add_module(objects, "", command.substr(target + 2), modules);
    return;
  }
  const size_t pipe = command.find(" | awk "), prefix = command.find(print);
  if (!command.starts_with(start) || pipe == command.npos || prefix == command.npos) return;
  const size_t text = prefix + print.size();
  add_module(command.substr(start.size(), pipe - start.size()), command.substr(text, command.find('"', text) - text),
             command.substr(target + 2), modules);
}

/// "./tools/objtool/objtool orc generate ... a.o", a recipe of its own: a part of the unit's command.
void add_objtool(std::string_view command, std::map<std::string, Unit>& units) {
  const std::string text = trimmed(command);
  if (!text.starts_with("./tools/objtool/objtool ") && !text.starts_with("tools/objtool/objtool ")) return;
  const auto unit = units.find(normal_path(text.substr(text.rfind(' ') + 1)));
  if (unit != units.end()) unit->second.command += " ; " + text;
}

/// The unit of a .cmd file ("cmd_kernel/bounds.s := gcc-12 ..."); make's doubled '$' are made single.
Unit parse_command_file(const fs::path& file) {
  const std::string content = read_file(file);
  const std::string line = content.substr(0, content.find('\n'));
  const size_t at = line.find(" := ");
  if (at == line.npos || line.find("cmd_") == line.npos) return {};
  std::string command;
  for (size_t i = at + 4; i < line.size(); ++i) {
    if (line[i] == '$' && i + 1 < line.size() && line[i + 1] == '$') ++i;
    command += line[i];
  }
  return parse_command(command);
}

void add_prepared_units(const fs::path& source, std::map<std::string, Unit>& units) {
  for (fs::recursive_directory_iterator it(source), end; it != end; ++it) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(".cmd") || it->is_directory() || it->is_symlink()) continue;
    Unit unit = parse_command_file(it->path());
    if (!unit.unit.empty()) units.emplace(unit.unit, unit);
  }
}

/// The file that a recipe makes: of if_changed ("trap 'rm -f FILE; trap - ...") or of filechk ("trap "rm -f
/// DIR/.FILE.tmp" EXIT").
std::string target_of_line(std::string_view line) {
  constexpr std::string_view by_rule = "trap 'rm -f ", by_check = "trap \"rm -f ";
  size_t at = line.find(by_rule);
  if (at != line.npos) return normal_path(line.substr(at + by_rule.size(), line.find(';', at) - at - by_rule.size()));
  at = line.find(by_check);
  if (at == line.npos) return {};
  const fs::path temporary(
      line.substr(at + by_check.size(), line.find('"', at + by_check.size()) - at - by_check.size()));
  const std::string name = temporary.filename().string();
  if (name.size() < 6 || name[0] != '.' || !name.ends_with(".tmp")) return {};
  return (temporary.parent_path() / name.substr(1, name.size() - 5)).lexically_normal().string();
}

/// Sources and headers that units include; not those of special images, which are never compiled alone.
bool is_generated_source(const std::string& file) {
  for (const char* elsewhere : {"include/", "scripts/", "usr/", "certs/", "tools/"}) {
    if (file.rfind(elsewhere, 0) == 0) return false;
  }
  for (const char* special : {"/vdso/", "/realmode/", "/purgatory/", "/boot/", "/include/generated/"}) {
    if (file.find(special) != file.npos) return false;
  }
  return file.ends_with(".h") || (file.ends_with(".c") && !file.ends_with(".mod.c")) || file.ends_with(".S");
}

void set_modules(const std::map<std::string, std::vector<std::string>>& modules, std::map<std::string, Unit>& units) {
  for (const auto& [object, names] : modules) {
    const auto unit = units.find(object);
    if (unit == units.end() || unit->second.objects == std::vector<std::string>{"vmlinux"}) continue;
    std::vector<std::string>& objects = unit->second.objects;
    objects = names;
    std::sort(objects.begin(), objects.end());
    objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  }
}

/// A makefile that stands before the kernel's and asks kbuild for single files: its own targets know only objects.
std::string generating_makefile(const std::map<std::string, std::string>& files_by_directory) {
  std::string text = "include Makefile\n", rules;
  size_t number = 0;
  text += "klp-generate:";
  for (const auto& [directory, files] : files_by_directory) {
    text += fmt::format(" klp-generate-{}", number);
    rules += fmt::format("klp-generate-{}: prepare\n\t$(Q)$(MAKE) $(build)={} need-builtin=1 need-modorder=1{}\n",
                         number++, directory, files);
  }
  return text + "\n" + rules;
}

}  // namespace

DryRun parse_dry_run(std::string_view output) {
  DryRun result;
  std::map<std::string, std::vector<std::string>> modules;
  for (size_t start = 0; start < output.size();) {
    const size_t end = std::min(output.find('\n', start), output.size());
    const std::string_view line = output.substr(start, end - start);
    start = end + 1;
    if (line.substr(0, 7) != "set -e;") continue;
    const std::string_view command = command_of_line(line);
    Unit unit = parse_command(command);
    const std::string target = target_of_line(line);
    if (!unit.unit.empty())
      result.units[unit.unit] = std::move(unit);
    else if (command.ends_with(".mod"))
      parse_module(command, modules);
    else if (command.find("tools/objtool/objtool") != command.npos)
      add_objtool(command, result.units);
    else if (is_generated_source(target))
      result.generated.push_back(target);
  }
  set_modules(modules, result.units);
  std::sort(result.generated.begin(), result.generated.end());
  result.generated.erase(std::unique(result.generated.begin(), result.generated.end()), result.generated.end());
  return result;
}

DryRun dry_run(const Kernel& kernel) {
  const Progress step("reading kbuild's commands");
  std::vector<std::string> line = kbuild_command(kernel);
  line.insert(line.end(), {"-n", "-k", "vmlinux", "modules"});
  RunOptions options;
  options.environment = kbuild_environment();
  options.merge_output = false;
  // It ends with an error, because what the link needs is not there; what counts is the commands.
  const RunResult result = run(line, options);
  DryRun found = parse_dry_run(result.output);
  if (found.units.size() < 100) {
    throw Error(fmt::format("kbuild shows only {} compile commands for {}:\n{}", found.units.size(), kernel.name,
                            result.error_output.substr(0, 2000)),
                "the source tree is not one that klp-diff can read (Linux 5.10 or later is needed)");
  }
  add_prepared_units(kernel.source, found.units);
  return found;
}

void generate_sources(const Kernel& kernel, const std::vector<std::string>& files) {
  std::map<std::string, std::string> by_directory;
  for (const std::string& file : files) {
    if (!fs::exists(kernel.source / file)) by_directory[fs::path(file).parent_path().string()] += " " + file;
  }
  if (by_directory.empty()) return;
  const Progress step("generating sources");
  const fs::path makefile = kernel.cache / "generate.mk";
  write_file_atomically(makefile, generating_makefile(by_directory));
  std::vector<std::string> line = kbuild_command(kernel);
  line.insert(line.end(), {"-f", makefile.string(), "-k",
                           fmt::format("-j{}", std::max(1u, std::thread::hardware_concurrency())), "klp-generate"});
  RunOptions options;
  options.environment = kbuild_environment();
  const RunResult result = run(line, options);
  for (const std::string& file : files) {
    if (!fs::exists(kernel.source / file))
      log("kernel").warn("kbuild could not generate {}: units that include it will not compile", file);
  }
  if (result.status != 0) log("kernel").info("generating sources: {}", result.output);
}

}  // namespace klp::kernel
