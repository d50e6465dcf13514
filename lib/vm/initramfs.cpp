// Makes the guest's initramfs: a cpio archive written here, so that it is deterministic and needs no root and no
// program.
//
// Modules: a package ships no modules.dep (depmod runs at installation), so the closure follows depends= of each
// module's .modinfo, with softdep=pre: taken as a dependency too (crc32c for libcrc32c), and modules.dep and
// modules.alias are written for the modules that are there.
#include "vm/initramfs.h"

#include <sys/stat.h>

#include <fmt/format.h>

#include "elf/elf_object.h"
#include "support/run.h"
#include "vm/guest_init.h"

namespace klp::vm {
namespace {

void pad(std::string& archive) {
  archive.append((4 - archive.size() % 4) % 4, '\0');
}

void add_applets(CpioWriter& cpio, const InitramfsContent& content) {
  cpio.add_file("bin/busybox", read_file(content.busybox), true);
  for (const std::string& applet : content.applets) {
    if (applet != "busybox") cpio.add_link("bin/" + applet, "busybox");
  }
  if (content.applets.empty()) cpio.add_link("bin/sh", "busybox");
  // Scripts and the kernel's own call of /sbin/modprobe find their programs.
  cpio.add_link("sbin", "bin");
  cpio.add_link("usr/bin", "../bin");
  cpio.add_link("usr/sbin", "../bin");
}

void add_user_files(CpioWriter& cpio, const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    check(!cpio.has(name), "two files for the guest are named {} (or it is a name of the guest's own): {}", name,
          file.string());
    check(fs::is_regular_file(file), "{} is no file", file.string());
    cpio.add_file(name, read_file(file), true);
  }
}

void add_modules(CpioWriter& cpio, const InitramfsContent& content) {
  const std::string root = "lib/modules/" + content.release;
  const std::vector<ShippedModule> modules = module_closure(content.modules_directory, content.modules);
  std::string aliases;
  for (const ShippedModule& module : modules) {
    cpio.add_file(root + "/" + module.relative_path, module.content);
    for (const std::string& alias : module.aliases) aliases += fmt::format("alias {} {}\n", alias, module.name);
  }
  cpio.add_file(root + "/modules.dep", modules_dep(modules));
  cpio.add_file(root + "/modules.alias", aliases);
  cpio.add_file(root + "/modules.symbols", "");
  const fs::path builtin = content.modules_directory / "modules.builtin";
  if (fs::is_regular_file(builtin)) cpio.add_file(root + "/modules.builtin", read_file(builtin));
}

}  // namespace

void CpioWriter::add_directory(const std::string& path) {
  add_parents(path);
  if (!paths_.contains(path)) add(path, S_IFDIR | 0755, {}, {});
}

void CpioWriter::add_file(const std::string& path, std::string_view content, bool executable) {
  add_parents(path);
  add(path, S_IFREG | (executable ? 0755 : 0644), content, {});
}

void CpioWriter::add_link(const std::string& path, std::string_view target) {
  add_parents(path);
  add(path, S_IFLNK | 0777, target, {});
}

void CpioWriter::add_character_device(const std::string& path, uint32_t major, uint32_t minor) {
  add_parents(path);
  add(path, S_IFCHR | 0600, {}, {major, minor});
}

void CpioWriter::add_parents(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) add_directory(path.substr(0, slash));
}

void CpioWriter::add(const std::string& path, uint32_t mode, std::string_view content, Device device) {
  check(content.size() <= UINT32_MAX, "{} is too large for an initramfs", path);
  const uint32_t links = S_ISDIR(mode) ? 2 : 1;
  // magic, inode, mode, uid, gid, links, mtime, size, device of the file (2), device it stands for (2), name's size,
  // checksum
  archive_ +=
      fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", next_inode_++,
                  mode, 0, 0, links, 0, content.size(), 0, 0, device.major, device.minor, path.size() + 1, 0);
  archive_ += path;
  archive_ += '\0';
  pad(archive_);
  archive_ += content;
  pad(archive_);
  paths_.insert(path);
}

std::string CpioWriter::finish() {
  add("TRAILER!!!", 0, {}, {});
  return std::move(archive_);
}

std::string make_initramfs(const InitramfsContent& content) {
  CpioWriter cpio;
  for (const char* directory : {"dev", "proc", "sys", "tmp", "run", "root", "etc"}) cpio.add_directory(directory);
  cpio.add_character_device("dev/console", 5, 1);
  cpio.add_file("init", guest_init_script(content.channel), true);
  add_applets(cpio, content);
  add_modules(cpio, content);
  add_user_files(cpio, content.files);
  return cpio.finish();
}

}  // namespace klp::vm
