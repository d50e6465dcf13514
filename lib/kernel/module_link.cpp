// kbuild links objects that are already there: a Kbuild file names them, and an object without a source and with a
// saved command is left as it is. Only NAME.mod.c is compiled for each module.
//
// What is the same for all modules of a kernel, lib/runtime, is compiled once, also by kbuild, and kept. What differs
// (the name, replace, .modinfo entries) comes from NAME.mod.c and from an assembler file of a few bytes.
#include "kernel/module_link.h"

#include <algorithm>
#include <sstream>

#include "kernel/apt.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr size_t kLongestName = 55;  // MODULE_NAME_LEN is 56 with the NUL

constexpr const char* kRuntimeSources[] = {
    "klp_runtime.c",           "klp_runtime_constants.c",   "klp_runtime_sites.c",
    "klp_runtime_sites_x86.h", "klp_runtime_sites_ppc64.h", "klp_runtime.h",
    "klp_runtime_begin.S",     "klp_runtime_end.S"};

/// make M=directory, with no debug information and nothing of the directory's path in what is compiled there.
RunResult run_kbuild(const Kernel& kernel, const fs::path& directory, const std::vector<std::string>& targets) {
  std::vector<std::string> command = kbuild_command(kernel);
  for (std::string& argument : command) {
    if (argument.starts_with("KCFLAGS=")) argument += fmt::format(" -g0 -ffile-prefix-map={}=.", directory.string());
  }
  command.push_back("M=" + directory.string());
  // A variable of the command line wins over the config: no type information is made for the module, no source digest.
  command.push_back("CONFIG_DEBUG_INFO_BTF_MODULES=");
  command.push_back("CONFIG_MODULE_SRCVERSION_ALL=");
  command.insert(command.end(), targets.begin(), targets.end());
  return run(command);
}

std::string last_lines(const std::string& text, size_t count) {
  size_t at = text.size();
  for (size_t i = 0; i <= count && at != 0 && at != std::string::npos; ++i) at = text.rfind('\n', at - 1);
  return at == 0 || at == std::string::npos ? text : text.substr(at + 1);
}

/// objtool's "FUNCTION+0xOFFSET: unreachable instruction" about one of `functions`, or the .cold part of one.
bool is_dead_branch(const std::string& line, const std::set<std::string>& functions) {
  constexpr std::string_view tool = "warning: objtool: ";
  const size_t start = line.find(tool), end = line.rfind("+0x");
  if (start == std::string::npos || end == std::string::npos || !line.ends_with(": unreachable instruction"))
    return false;
  const std::string name = line.substr(start + tool.size(), end - start - tool.size());
  return functions.count(name) != 0 || functions.count(name.substr(0, name.find(".cold"))) != 0;
}

/// The lines in which modpost, the linker or the compiler complain.
std::string complaints(const std::string& output, const std::set<std::string>& dead_branches = {}) {
  std::istringstream in(output);
  std::string result;
  for (std::string line; std::getline(in, line);) {
    // make's own words about clocks, and kbuild's about the compiler, which open_kernel() has checked.
    const bool harmless = line.starts_with("make: warning:") || line.starts_with("make[") ||
                          line.find("the compiler differs") != std::string::npos || is_dead_branch(line, dead_branches);
    if (harmless) continue;
    for (const char* word : {"WARNING:", "ERROR:", "warning:", "error:", "undefined"}) {
      if (line.find(word) == std::string::npos) continue;
      result += line + "\n";
      break;
    }
  }
  return result;
}

void write_saved_command(const fs::path& object) {
  write_file_atomically(object.parent_path() / fmt::format(".{}.cmd", object.filename().string()),
                        fmt::format("savedcmd_{} := true\n", object.string()));
}

void place_object(const fs::path& from, const fs::path& to) {
  write_file_atomically(to, read_file(from));  // std::filesystem's copy calls a full disk an input/output error
  write_saved_command(to);
}

/// Where neither the compiler nor objtool lists ftrace's calls, kbuild has a program of the tree do it, behind the
/// compiler's command (scripts/Makefile.build: cmd_record_mcount). A call that is not listed stays one.
void record_ftrace_calls(const Kernel& kernel, const fs::path& object) {
  if (read_file(kernel.config).find("\nCONFIG_FTRACE_MCOUNT_USE_RECORDMCOUNT=y\n") == std::string::npos) return;
  run_checked({(kernel.source / "scripts/recordmcount").string(), object.string()});
}

void check_link(const ModuleLink& link) {
  const bool good_name = !link.name.empty() && link.name.size() <= kLongestName &&
                         std::all_of(link.name.begin(), link.name.end(), [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                         });
  if (!good_name) {
    throw Error(fmt::format("'{}' cannot be a module's name", link.name),
                fmt::format("use at most {} of a-z, 0-9 and _ (--name)", kLongestName));
  }
  check(!link.objects.empty(), "module {} has no patch object", link.name);
  for (const auto& [key, value] : link.modinfo) {
    const auto printable = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 127; };
    check(!key.empty() && key.find('=') == std::string::npos && std::all_of(key.begin(), key.end(), printable) &&
              std::all_of(value.begin(), value.end(), printable),
          "'{}={}' cannot be a .modinfo entry", key, value);
  }
  const std::string directory = link.directory.string();
  if (directory.find_first_of(" \t:#$%\\'\"") != std::string::npos) {
    throw Error(fmt::format("make cannot work in the directory {}", directory),
                "choose one without blanks and special characters (--work-dir)");
  }
}

std::string assembler_string(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return '"' + result + '"';
}

/// The part of the module that is its own: klp_diff_replace, ..._clear_when_gone, ..._pinned and .modinfo.
std::string settings_source(const ModuleLink& link) {
  std::string text = "\t.section .modinfo, \"a\", %progbits\n";
  for (const auto& [key, value] : link.modinfo)
    text += fmt::format("\t.asciz {}\n", assembler_string(key + "=" + value));
  text += "\t.section .rodata, \"a\", %progbits\n";
  for (const auto& [name, value] : {std::pair{"klp_diff_replace", link.replace},
                                    {"klp_diff_clear_when_gone", link.kernel_leaves_references},
                                    {"klp_diff_pinned", link.pinned}}) {
    text += fmt::format("\t.globl {0}\n\t.type {0}, %object\n\t.size {0}, 1\n{0}:\n\t.byte {1}\n", name, value ? 1 : 0);
  }
  text += "\t.section .note.GNU-stack, \"\", %progbits\n";
  return text;
}

std::string runtime_key(const Kernel& kernel, const fs::path& sources) {
  std::string text;
  for (const char* name : kRuntimeSources) text += read_file(sources / name) + '\0';
  for (const char* name : {".config", "include/generated/utsrelease.h"}) text += sha256_file(kernel.source / name);
  for (const std::string& argument : kbuild_command(kernel)) text += argument + '\0';
  return sha256_hex(text).substr(0, 24) + "-1";
}

/// Only such a tree needs the writer of run-time constants, and only the assemblers that it can be built with know what
/// the writer is written in (quoted names as operands).
bool has_runtime_constants(const Kernel& kernel) {
  std::error_code error;
  return fs::exists(kernel.source / "include/asm-generic/runtime-const.h", error);
}

/// The objects of the runtime by name, in the order in which they are linked.
std::vector<std::string> runtime_names(const Kernel& kernel) {
  std::vector<std::string> names = {"klp_runtime_begin.o", "klp_runtime.o"};
  if (has_runtime_constants(kernel)) names.emplace_back("klp_runtime_constants.o");
  names.insert(names.end(), {"klp_runtime_sites.o", "klp_runtime_end.o"});
  return names;
}

void compile_runtime(const Kernel& kernel, const fs::path& sources, const fs::path& directory) {
  for (const char* name : kRuntimeSources) write_file_atomically(directory / name, read_file(sources / name));
  const std::vector<std::string> names = runtime_names(kernel);
  write_file_atomically(directory / "Kbuild",
                        fmt::format("obj-m := klp_runtime_all.o\nklp_runtime_all-y := {}\n", fmt::join(names, " ")));
  // Asked for by name, so that nothing is linked.
  const RunResult result = run_kbuild(kernel, directory, names);
  if (result.status == 0) return;
  const std::string shown = complaints(result.output);
  check_disk_space("compiling the runtime", result.output, directory);
  throw Error(fmt::format("the runtime does not compile for {}:\n{}", kernel.name,
                          shown.empty() ? last_lines(result.output, 10) : shown));
}

}  // namespace

bool leaves_references(const elf::SymbolIndex& vmlinux) {
  const elf::Symbol* clear = vmlinux.maybe_global("clear_relocate_add");
  return clear == nullptr || clear->bind == elf::kStbWeak;  // the livepatch core's own, which does nothing
}

fs::path runtime_directory() {
  std::error_code error;
  const fs::path installed = fs::read_symlink("/proc/self/exe", error).parent_path() / "../share/klp-diff/runtime";
  if (!error && fs::is_regular_file(installed / "klp_runtime.c", error)) return installed.lexically_normal();
  return KLP_RUNTIME_DIR;
}

RuntimeObjects runtime_objects(const Kernel& kernel) {
  const fs::path sources = runtime_directory();
  const fs::path kept = kernel.cache / "runtime" / runtime_key(kernel, sources);
  const RuntimeObjects objects{kept / "klp_runtime_begin.o", kept / "klp_runtime.o", kept / "klp_runtime_constants.o",
                               kept / "klp_runtime_sites.o", kept / "klp_runtime_end.o"};
  std::error_code error;
  if (fs::exists(objects.end, error)) return objects;
  fs::create_directories(kernel.cache / "runtime", error);
  check(!error, "cannot make {}: {}", (kernel.cache / "runtime").string(), error.message());
  TempDir work(kernel.cache / "runtime", "new");
  compile_runtime(kernel, sources, work.path());
  for (const std::string& name : runtime_names(kernel))
    check(fs::exists(work.path() / name, error), "kbuild made no {}", name);
  fs::rename(work.path(), kept, error);  // another klp-diff may have been faster: its objects are the same
  check(!error || fs::exists(objects.end), "cannot keep {}: {}", kept.string(), error.message());
  return objects;
}

std::filesystem::path link_module(const Kernel& kernel, const ModuleLink& link) {
  check_link(link);
  const RuntimeObjects runtime = runtime_objects(kernel);
  const fs::path directory = fs::canonical(link.directory);
  std::string parts = "klp_runtime_begin.o";
  place_object(runtime.begin, directory / "klp_runtime_begin.o");
  for (size_t i = 0; i < link.objects.size(); ++i) {
    const std::string name = fmt::format("klp_patch_{}.o", i);
    place_object(link.objects[i], directory / name);
    record_ftrace_calls(kernel, directory / name);
    parts += " " + name;
  }
  place_object(runtime.code, directory / "klp_runtime.o");
  parts += " klp_runtime.o";
  if (link.constants) {
    check(has_runtime_constants(kernel), "{}: run-time constants in a kernel whose source has none", link.name);
    place_object(runtime.constants, directory / "klp_runtime_constants.o");
    parts += " klp_runtime_constants.o";
  }
  if (link.late_references && (link.kernel_leaves_references || link.may_refuse_modules)) {
    place_object(runtime.sites, directory / "klp_runtime_sites.o");
    parts += " klp_runtime_sites.o";
  }
  place_object(runtime.end, directory / "klp_runtime_end.o");
  write_file_atomically(directory / "klp_settings.s", settings_source(link));
  RunOptions options;
  options.directory = directory;
  run_checked({kernel.compiler, "-c", "-o", "klp_settings.o", "klp_settings.s"}, options);
  fs::remove(directory / "klp_settings.s");
  write_saved_command(directory / "klp_settings.o");
  write_file_atomically(
      directory / "Kbuild",
      fmt::format("obj-m := {0}.o\n{0}-y := {1} klp_settings.o klp_runtime_end.o\n", link.name, parts));

  const RunResult result = run_kbuild(kernel, directory, {"modules"});
  const fs::path module = directory / (link.name + ".ko");
  const std::string shown = complaints(result.output, link.dead_branches);
  if (result.status != 0 || !shown.empty() || !fs::exists(module)) {
    check_disk_space("linking " + link.name, result.output, directory);
    throw Error(
        fmt::format("kbuild does not link {}:\n{}", link.name, shown.empty() ? last_lines(result.output, 10) : shown));
  }
  return module;
}

}  // namespace klp::kernel
