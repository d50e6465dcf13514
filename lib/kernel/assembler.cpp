#include "kernel/assembler.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "kernel/store.h"
#include "kernel/target.h"
#include "support/error.h"
#include "support/files.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

/// Beside our own program, or where it is installed.
fs::path changing_assembler() {
  std::error_code error;
  const fs::path ours = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {ours / "klp-as", ours / "../libexec/klp-diff/klp-as"}) {
    if (fs::is_regular_file(place, error)) return place.lexically_normal();
  }
  throw Error(fmt::format("{} is missing", (ours / "klp-as").string()),
              "it belongs to klp-diff: build or install klp-diff again");
}

fs::path assembler_of(const std::string& compiler) {
  const auto found = program_of_compiler(compiler, "as");
  if (!found) throw Error(fmt::format("the assembler of {} is missing", compiler), "apt-get install binutils");
  return *found;
}

/// The directory for -B. Its name tells which programs it starts: what ran with others was another command.
fs::path long_branch_directory(const std::string& compiler) {
  static std::mutex mutex;
  static std::map<std::string, fs::path> made;
  const std::lock_guard lock(mutex);
  fs::path& directory = made[compiler];
  if (directory.empty()) {
    const fs::path assembler = assembler_of(compiler);
    const std::string programs = sha256_file(changing_assembler()) + assembler.string() + sha256_file(assembler);
    const fs::path place = cache_root() / "starters" / ("long-branches-" + sha256_hex(programs).substr(0, 16));
    make_assembler_starter(place, assembler, "long-branches");
    directory = place;
  }
  return directory;
}

}  // namespace

std::optional<fs::path> program_of_compiler(const std::string& compiler, const std::string& name) {
  std::string path = run({compiler, "-print-prog-name=" + name}).output;
  while (path.ends_with('\n')) path.pop_back();
  if (path.find('/') != path.npos) return path;
  return find_program(path);
}

void make_starter(const fs::path& file, const std::string& script) {
  if (fs::exists(file) && read_file(file) == script) return;
  write_file_atomically(file, script, 0755);
}

void make_assembler_starter(const fs::path& directory, const fs::path& assembler, const std::string& change) {
  make_directories(directory);
  const std::string program = read_file(changing_assembler());
  const fs::path copy = directory / "klp-as";
  make_starter(copy, program);
  make_starter(
      directory / "as",
      fmt::format("#!/bin/sh\n# {} {}\nexec '{}' {} '{}' \"$@\"\n", sha256_hex(program).substr(0, 16),
                  sha256_file(fs::canonical(assembler)).substr(0, 16), copy.string(), change, assembler.string()));
}

std::string long_branch_option(const Kernel& kernel) {
  if (!target_named(kernel.arch).widens_branches) return {};
  return fmt::format("-B'{}/'", long_branch_directory(kernel.compiler).string());
}

Unit with_long_branches(const Unit& unit, const Kernel& kernel) {
  const bool of_module =
      std::any_of(unit.objects.begin(), unit.objects.end(), [](const std::string& o) { return o != "vmlinux"; });
  const std::string option = of_module ? long_branch_option(kernel) : std::string();
  if (option.empty()) return unit;
  Unit result = unit;
  result.command.insert(std::min(unit.command.find(' '), unit.command.size()), " " + option);
  return result;
}

}  // namespace klp::kernel
