// A manifest lists every input with size, time, inode and digest. Where the first three are as they were, the content
// is taken to be so too (the kernel's tree is never written after its preparation); where they differ, the digest
// decides, and the manifest is brought up to date. A thousand headers cost about two milliseconds that way.
#include "kernel/original_cache.h"

#include <sys/stat.h>

#include <sstream>

#include "kernel/assembler.h"
#include "support/log.h"
#include "support/run.h"

namespace klp::kernel {
namespace {

constexpr const char* kFormat = "klp-diff-original-4";

struct Input {
  uint64_t size = 0, time_ns = 0, inode = 0;
  std::string digest;
  std::string path;

  bool same_stat(const Input& other) const {
    return size == other.size && time_ns == other.time_ns && inode == other.inode;
  }
};

struct Manifest {
  std::string command;  ///< digest
  std::string object;   ///< digest, and name
  std::vector<Input> inputs;
};

/// Without the digest.
std::optional<Input> stat_input(const fs::path& base, const std::string& path) {
  struct stat info {};
  if (stat((base / path).c_str(), &info) != 0) return std::nullopt;
  const uint64_t time =
      static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(info.st_mtim.tv_nsec);
  return Input{static_cast<uint64_t>(info.st_size), time, info.st_ino, {}, path};
}

std::string to_text(const Manifest& manifest) {
  std::string text = fmt::format("{}\ncommand {}\nobject {}\n", kFormat, manifest.command, manifest.object);
  for (const Input& i : manifest.inputs)
    text += fmt::format("{} {} {} {} {}\n", i.size, i.time_ns, i.inode, i.digest, i.path);
  return text;
}

std::optional<Manifest> from_text(const std::string& text) {
  std::istringstream in(text);
  Manifest manifest;
  std::string format, word;
  in >> format >> word >> manifest.command >> word >> manifest.object;
  if (format != kFormat || manifest.object.empty()) return std::nullopt;
  Input input;
  while (in >> input.size >> input.time_ns >> input.inode >> input.digest && in.get() == ' ' &&
         std::getline(in, input.path)) {
    manifest.inputs.push_back(input);
  }
  if (!in.eof()) return std::nullopt;
  return manifest;
}

/// Whether each input has the content that it had; `changed_stat` says that the manifest should be written anew.
bool inputs_unchanged(const fs::path& base, Manifest& manifest, bool& changed_stat) {
  for (Input& input : manifest.inputs) {
    const std::optional<Input> now = stat_input(base, input.path);
    if (!now) return false;
    if (now->same_stat(input)) continue;
    if (now->size != input.size || sha256_file(base / input.path) != input.digest) return false;
    input.time_ns = now->time_ns;
    input.inode = now->inode;
    changed_stat = true;
  }
  return true;
}

/// The programs behind the compiler's driver: what really compiles and assembles.
std::vector<fs::path> compiler_programs(const std::string& compiler) {
  std::vector<fs::path> result;
  const auto add = [&](const fs::path& path) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (!error && fs::is_regular_file(real, error)) result.push_back(real);
  };
  if (const auto driver = find_program(compiler)) add(*driver);
  for (const char* name : {"cc1", "as"}) {
    if (const auto found = program_of_compiler(compiler, name)) add(*found);
  }
  return result;
}

}  // namespace

OriginalCache::OriginalCache(const Kernel& kernel, const std::string& launcher, const std::string& compiler)
    : source_(kernel.source),
      directory_(kernel.cache / (compiler.empty() ? "originals" : "originals_as_shipped")),
      tools_(compiler_programs(compiler.empty() ? kernel.compiler : compiler)) {
  const fs::path objtool = kernel.source / "tools/objtool/objtool";
  std::error_code error;
  if (fs::exists(objtool, error)) tools_.push_back(objtool);
  if (const auto program = find_program(launcher.substr(0, launcher.find(' ')))) tools_.push_back(*program);
}

std::string OriginalCache::command_digest(const Unit& unit) const {
  std::string text = unit.command;
  for (const fs::path& tool : tools_) text.append("\n").append(tool.string());
  return sha256_hex(text);
}

fs::path OriginalCache::manifest_path(const Unit& unit) const {
  return directory_ / (unit.unit + ".manifest");
}

std::optional<fs::path> OriginalCache::find(const Unit& unit) const {
  std::error_code error;
  const fs::path path = manifest_path(unit);
  if (!fs::exists(path, error)) return std::nullopt;
  try {
    std::optional<Manifest> manifest = from_text(read_file(path));
    if (!manifest || manifest->command != command_digest(unit)) return std::nullopt;
    const fs::path object = directory_ / "objects" / (manifest->object + ".o");
    bool changed_stat = false;
    if (!fs::exists(object, error) || !inputs_unchanged(source_, *manifest, changed_stat)) return std::nullopt;
    if (sha256_file(object) != manifest->object) return std::nullopt;
    if (changed_stat) write_file_atomically(path, to_text(*manifest));
    return object;
  } catch (const Error& problem) {
    throw_if_interrupted();
    log("compile").warn("the cached original of {} cannot be used: {}", unit.unit, problem.what());
    return std::nullopt;
  }
}

fs::path OriginalCache::store(const Unit& unit, const fs::path& object,
                              const std::vector<std::string>& dependencies) const {
  try {
    const std::string content = read_file(object);
    Manifest manifest{command_digest(unit), sha256_hex(content), {}};
    std::vector<std::string> paths = dependencies;
    for (const fs::path& tool : tools_) paths.push_back(tool.string());
    for (const std::string& path : paths) {
      std::optional<Input> input = stat_input(source_, path);
      check(input.has_value() && path.find('\n') == std::string::npos, "{} is not there any more", path);
      input->digest = sha256_file(source_ / path);
      manifest.inputs.push_back(*input);
    }
    const fs::path kept = directory_ / "objects" / (manifest.object + ".o");
    fs::create_directories(kept.parent_path());
    fs::create_directories(manifest_path(unit).parent_path());
    write_file_atomically(kept, content);
    write_file_atomically(manifest_path(unit), to_text(manifest));
    return kept;
  } catch (const std::exception& problem) {
    throw_if_interrupted();
    log("compile").warn("the original of {} is not kept for next time: {}", unit.unit, problem.what());
    return object;
  }
}

}  // namespace klp::kernel
