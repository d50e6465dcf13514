// Descriptions are small JSON files, so that a person can read them; paths in them are relative to the kernel's
// directory, so that the cache can be moved as a whole.
#include "kernel/store.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "support/files.h"

namespace klp::kernel {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;

fs::path description_file(const fs::path& directory) {
  return directory / "kernel.json";
}

/// The members of Kernel that are texts or paths, by their names in the file.
std::map<std::string, std::string Kernel::*> text_members() {
  return {{"name", &Kernel::name},
          {"release", &Kernel::release},
          {"arch", &Kernel::arch},
          {"compiler_text", &Kernel::compiler_text},
          {"build_id", &Kernel::build_id}};
}

std::map<std::string, fs::path Kernel::*> path_members() {
  return {{"source", &Kernel::source},
          {"config", &Kernel::config},
          {"symvers", &Kernel::symvers},
          {"vmlinux", &Kernel::vmlinux},
          {"modules", &Kernel::modules},
          {"image", &Kernel::image},
          {"boot_modules", &Kernel::boot_modules},
          {"cache", &Kernel::cache},
          {"pahole", &Kernel::pahole}};
}

Description parse_description(const fs::path& directory) {
  const json data = json::parse(read_file(description_file(directory)));
  check(data.at("format") == kFormat, "it has format {}, not {}", data.at("format").dump(), kFormat);
  Description result;
  for (const auto& [key, member] : text_members()) result.kernel.*member = data.at(key).get<std::string>();
  for (const auto& [key, member] : path_members()) {
    const std::string relative = data.at(key).get<std::string>();
    if (!relative.empty()) result.kernel.*member = directory / relative;
  }
  // The host's by its name, another one by its path: the cache's directory may be moved as a whole.
  const std::string compiler = data.at("compiler").get<std::string>();
  result.kernel.compiler =
      compiler.find('/') == compiler.npos ? compiler : (directory / compiler).lexically_normal().string();
  result.fingerprints = data.at("fingerprints").get<std::map<std::string, std::string>>();
  return result;
}

}  // namespace

fs::path kernels_root() {
  return cache_root() / "kernels";
}

fs::path kernel_directory(const std::string& name) {
  const fs::path root = kernels_root();
  if (root.string().find_first_of(" \t\n:'\"$#\\") != std::string::npos) {
    throw Error(fmt::format("the cache directory '{}' has a character that make cannot work with", root.string()),
                "set KLP_DIFF_CACHE to a directory without white space, colons, quotes, '$', '#' and backslashes");
  }
  std::string leaf = name;
  for (char& c : leaf) c = c == ':' ? '-' : c;
  const bool good =
      leaf.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_~") == leaf.npos;
  if (leaf.empty() || leaf[0] == '.' || !good) {
    throw Error(fmt::format("'{}' is not the name of a kernel", name), "names look like debian:6.1.0-56-cloud-amd64");
  }
  return root / leaf;
}

std::string name_of_directory(const std::string& directory) {
  const std::string prefix = "debian-";
  return directory.rfind(prefix, 0) == 0 ? "debian:" + directory.substr(prefix.size()) : directory;
}

fs::path lock_file(const fs::path& directory) {
  return directory.string() + ".lock";
}

bool step_done(const fs::path& directory, const std::string& step) {
  return fs::exists(directory / "steps" / step);
}

void mark_step(const fs::path& directory, const std::string& step, const std::string& note) {
  make_directories(directory / "steps");
  write_file_atomically(directory / "steps" / step, note + "\n");
}

void save_description(const fs::path& directory, const Description& description) {
  json data = {{"format", kFormat}, {"fingerprints", description.fingerprints}};
  for (const auto& [key, member] : text_members()) data[key] = description.kernel.*member;
  for (const auto& [key, member] : path_members()) {
    const fs::path& path = description.kernel.*member;
    data[key] = path.empty() ? std::string() : path.lexically_relative(directory).string();
  }
  const fs::path compiler = description.kernel.compiler;
  data["compiler"] = compiler.has_parent_path() ? compiler.lexically_relative(directory).string() : compiler.string();
  write_file_atomically(description_file(directory), data.dump(2) + "\n");
}

std::optional<Description> load_description(const fs::path& directory) {
  if (!fs::exists(description_file(directory))) return std::nullopt;
  try {
    return parse_description(directory);
  } catch (const json::exception& error) {
    throw Error(fmt::format("{} is damaged: {}", description_file(directory).string(), error.what()),
                "remove that file and run `klp-diff kernel fetch` again: what is fetched is kept");
  }
}

void save_packages(const fs::path& directory, const std::map<std::string, PackageVersion>& packages) {
  json data = json::object();
  for (const auto& [role, p] : packages) {
    data[role] = {{"package", p.package},
                  {"version", p.version},
                  {"architecture", p.architecture},
                  {"sha256", p.sha256},
                  {"size", p.size}};
  }
  write_file_atomically(directory / "packages.json", data.dump(2) + "\n");
}

std::map<std::string, PackageVersion> load_packages(const fs::path& directory) {
  std::map<std::string, PackageVersion> result;
  if (!fs::exists(directory / "packages.json")) return result;
  try {
    const json data = json::parse(read_file(directory / "packages.json"));
    for (const auto& [role, entry] : data.items()) {
      PackageVersion& p = result[role];
      p.package = entry.at("package").get<std::string>();
      p.version = entry.at("version").get<std::string>();
      p.architecture = entry.at("architecture").get<std::string>();
      p.sha256 = entry.at("sha256").get<std::string>();
      p.size = entry.at("size").get<uint64_t>();
    }
  } catch (const json::exception&) {
    result.clear();
  }
  return result;
}

uint64_t disk_usage(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    struct stat info {};
    if (lstat(it->path().c_str(), &info) == 0) bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    throw Error(fmt::format("cannot make {}: {}", directory.string(), error.message()),
                "free some space, or set KLP_DIFF_CACHE to a directory that you can write to");
  }
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  check(!error, "cannot remove {}: {}", path.string(), error.message());
}

}  // namespace klp::kernel
