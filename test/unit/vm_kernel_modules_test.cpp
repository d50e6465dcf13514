// The closure over the kernel's own modules, with .ko files that have nothing but a .modinfo section.
#include <catch2/catch.hpp>

#include <elf.h>

#include <cstring>
#include <string>

#include "support/run.h"
#include "vm/initramfs.h"

using namespace klp::vm;
namespace fs = klp::fs;

namespace {

template <typename Record>
void append(std::string& bytes, const Record& record) {
  bytes.append(reinterpret_cast<const char*>(&record), sizeof record);
}

Elf64_Shdr section(uint32_t name, uint32_t type, uint64_t offset, uint64_t size) {
  Elf64_Shdr header{};
  header.sh_name = name;
  header.sh_type = type;
  header.sh_offset = offset;
  header.sh_size = size;
  header.sh_addralign = 1;
  return header;
}

/// `modinfo` has NUL for ';'.
std::string make_ko(std::string modinfo) {
  modinfo += ';';
  for (char& c : modinfo) c = c == ';' ? '\0' : c;
  const std::string names("\0.modinfo\0.shstrtab\0", 20);
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 2;
  const uint64_t names_at = sizeof header + modinfo.size();
  const uint64_t padding = (8 - (names_at + names.size()) % 8) % 8;
  header.e_shoff = names_at + names.size() + padding;
  std::string bytes;
  append(bytes, header);
  bytes += modinfo + names + std::string(padding, '\0');
  append(bytes, Elf64_Shdr{});
  append(bytes, section(1, SHT_PROGBITS, sizeof header, modinfo.size()));
  append(bytes, section(10, SHT_STRTAB, names_at, names.size()));
  return bytes;
}

struct Modules {
  klp::TempDir directory{fs::temp_directory_path(), "modules-test"};
  void add(const std::string& path, const std::string& modinfo) {
    const fs::path file = directory.path() / path;
    fs::create_directories(file.parent_path());
    klp::write_file_atomically(file, make_ko(modinfo));
  }
  std::vector<std::string> closure(const std::vector<std::string>& names) const {
    std::vector<std::string> result;
    for (const ShippedModule& module : module_closure(directory.path(), names)) result.push_back(module.name);
    return result;
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("values of .modinfo", "[vm]") {
  const std::string ko = make_ko("name=x;alias=a;alias=b;aliases=no;depends=");
  CHECK(modinfo_values("x", ko, "name") == Names{"x"});
  CHECK(modinfo_values("x", ko, "alias") == Names{"a", "b"});
  CHECK(modinfo_values("x", ko, "depends").empty() == false);
  CHECK(modinfo_values("x", ko, "license").empty());
  CHECK_THROWS_AS(modinfo_values("x", "garbage", "name"), klp::Error);
}

TEST_CASE("a module comes after all it needs, each once", "[vm]") {
  Modules modules;
  modules.add("kernel/fs/xfs.ko", "name=xfs;depends=libcrc32c,common-part;alias=fs-xfs");
  modules.add("kernel/lib/libcrc32c.ko", "name=libcrc32c;depends=;softdep=pre: crc32c-generic missing post: xfs");
  modules.add("kernel/lib/common-part.ko", "name=common_part;depends=libcrc32c");
  modules.add("kernel/crypto/crc32c-generic.ko", "name=crc32c_generic;depends=");
  CHECK(modules.closure({}).empty());
  CHECK(modules.closure({"xfs"}) == Names{"crc32c_generic", "libcrc32c", "common_part", "xfs"});
  CHECK(modules.closure({"common-part", "xfs", "common_part"}) ==
        Names{"crc32c_generic", "libcrc32c", "common_part", "xfs"});
  const auto closure = module_closure(modules.directory.path(), {"xfs"});
  CHECK(closure.back().aliases == Names{"fs-xfs"});
  CHECK(modules_dep(closure) ==
        "kernel/crypto/crc32c-generic.ko:\n"
        "kernel/lib/libcrc32c.ko: kernel/crypto/crc32c-generic.ko\n"
        "kernel/lib/common-part.ko: kernel/lib/libcrc32c.ko kernel/crypto/crc32c-generic.ko\n"
        "kernel/fs/xfs.ko: kernel/lib/common-part.ko kernel/lib/libcrc32c.ko kernel/crypto/crc32c-generic.ko\n");
}

TEST_CASE("compressed modules are unpacked", "[vm]") {
  Modules modules;
  modules.add("kernel/a.ko", "name=a;depends=b");
  modules.add("kernel/b.ko", "name=b;depends=");
  klp::run_checked({"xz", "--check=crc32", (modules.directory.path() / "kernel/b.ko").string()});
  const auto closure = module_closure(modules.directory.path(), {"a"});
  REQUIRE(closure.size() == 2);
  CHECK(closure[0].relative_path == "kernel/b.ko");
  CHECK(closure[0].content == make_ko("name=b;depends="));
}

TEST_CASE("built-in modules need no file", "[vm]") {
  Modules modules;
  modules.add("kernel/a.ko", "name=a;depends=built-in");
  klp::write_file_atomically(modules.directory.path() / "modules.builtin", "kernel/x/built_in.ko\n");
  CHECK(modules.closure({"built-in"}).empty());
  CHECK(modules.closure({"a"}) == Names{"a"});
  CHECK(modules_dep(module_closure(modules.directory.path(), {"a"})) == "kernel/a.ko:\n");
}

TEST_CASE("missing, circular and malformed modules are errors that name them", "[vm]") {
  Modules modules;
  modules.add("a.ko", "name=a;depends=b");
  modules.add("c.ko", "name=c;depends=d");
  modules.add("d.ko", "name=d;depends=c");
  klp::write_file_atomically(modules.directory.path() / "bad.ko", "no ELF");
  CHECK_THROWS_WITH(modules.closure({"nothing"}), Catch::Contains("no module nothing"));
  CHECK_THROWS_WITH(modules.closure({"a"}), Catch::Contains("no module b (needed by a)"));
  CHECK_THROWS_WITH(modules.closure({"c"}), Catch::Contains("depends on itself"));
  CHECK_THROWS_WITH(modules.closure({"bad"}), Catch::Contains("bad.ko"));
}

TEST_CASE("a module's name is the one it carries", "[vm]") {
  Modules modules;
  modules.add("other-name.ko", "name=real_name");
  modules.add("my-fix.ko", "license=GPL");
  klp::write_file_atomically(modules.directory.path() / "gar-bage.ko", "no ELF");
  CHECK(module_name(modules.directory.path() / "other-name.ko") == "real_name");
  CHECK(module_name(modules.directory.path() / "my-fix.ko") == "my_fix");
  CHECK(module_name(modules.directory.path() / "gar-bage.ko") == "gar_bage");
}
