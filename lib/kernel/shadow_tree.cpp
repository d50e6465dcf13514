// GNU patch does not write through symbolic links, and hard links would let it write into the source. So a file that is
// to change becomes a copy, and its directories become real ones full of links.
#include "kernel/shadow_tree.h"

#include <cerrno>
#include <cstring>

namespace klp::kernel {
namespace {

/// Runs a filesystem operation and turns its failure into an Error that says what to do on a full disk.
template <typename Operation>
void checked(std::string_view what, const fs::path& path, Operation operation) {
  std::error_code error;
  operation(error);
  if (!error) return;
  const bool full = error == std::errc::no_space_on_device;
  throw Error(fmt::format("{} {}: {}", what, path.string(), error.message()),
              full ? "free some space, or choose another place with --work-dir" : "");
}

std::string joined(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

}  // namespace

ShadowTree::ShadowTree(fs::path source, fs::path root) : source_(std::move(source)), root_(std::move(root)) {
  checked("cannot make the directory", root_, [&](auto& error) { fs::create_directory(root_, error); });
  real_directories_.insert("");
  link_entries("");
}

void ShadowTree::link_entries(const std::string& directory) {
  const fs::path from = source_ / directory;
  std::error_code none;
  if (!fs::is_directory(from, none)) return;
  checked("cannot read the directory", from, [&](auto& error) {
    for (const fs::directory_entry& entry : fs::directory_iterator(from, error)) {
      const std::string name = entry.path().filename().string();
      const fs::path link = root_ / directory / name;
      if (own_files_.count(joined(directory, name)) != 0) continue;
      fs::create_symlink(from / name, link, error);
      if (error == std::errc::file_exists) error.clear();
      if (error) return;
    }
  });
}

void ShadowTree::make_real_directory(const std::string& directory) {
  if (real_directories_.count(directory) != 0) return;
  const size_t slash = directory.rfind('/');
  make_real_directory(slash == std::string::npos ? "" : directory.substr(0, slash));
  const fs::path path = root_ / directory;
  checked("cannot replace the link", path, [&](auto& error) { fs::remove(path, error); });
  checked("cannot make the directory", path, [&](auto& error) { fs::create_directory(path, error); });
  real_directories_.insert(directory);
  link_entries(directory);
}

void ShadowTree::make_real_file(const std::string& file) {
  if (own_files_.count(file) != 0) return;
  make_real_directory(fs::path(file).parent_path().string());
  const fs::path copy = root_ / file;
  checked("cannot replace the link", copy, [&](auto& error) { fs::remove(copy, error); });
  own_files_.insert(file);
  std::error_code none;
  if (!fs::is_regular_file(source_ / file, none)) return;
  write_file_atomically(copy,
                        read_file(source_ / file));  // std::filesystem's copy calls a full disk an input/output error
  checked("cannot make writable", copy, [&](auto& error) {
    fs::permissions(copy, fs::perms::owner_write | fs::perms::owner_read, fs::perm_options::add, error);
  });
}

void ShadowTree::write(const std::string& file, std::string_view content) {
  remove(file);
  write_file_atomically(root_ / file, content);
}

void ShadowTree::remove(const std::string& file) {
  make_real_directory(fs::path(file).parent_path().string());
  own_files_.insert(file);
  checked("cannot remove", root_ / file, [&](auto& error) { fs::remove(root_ / file, error); });
}

void ShadowTree::make_real_on_the_way(const std::string& path) {
  fs::path so_far;
  for (const fs::path& part : fs::path(path)) {
    if (part == "..") {
      make_real_directory(so_far.string());
      so_far = so_far.parent_path();
    } else if (part != ".") {
      so_far /= part;
    }
  }
}

void ShadowTree::refresh() {
  for (const std::string& directory : real_directories_) link_entries(directory);
}

}  // namespace klp::kernel
