// What an object file of a build tree is, and whether it can be compared at all.
//
// The kernel's index knows its units, so it decides; names and saved commands only tell what to make of the rest.
#include <algorithm>
#include <array>
#include <fstream>

#include "elf/elf_object.h"
#include "kernel/patch_set.h"
#include "kernel/tree_pairs.h"

namespace klp::kernel {
namespace {

bool is_one_of(const std::string& text, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

/// Programs of the build, and what goes into the initial ramdisk.
bool is_below_build_directory(const std::string& object) {
  constexpr std::array kDirectories = {"scripts/", "tools/", "usr/", "Documentation/", "arch/x86/tools/"};
  return std::any_of(kDirectories.begin(), kDirectories.end(), [&](auto d) { return object.starts_with(d); });
}

/// Objects that hold an image whose parts are compared themselves, or what is new in each build (time of the build,
/// keys): 6.1 and 6.12, arch/x86 and init.
bool is_product_of_build(const std::string& object, const std::string& name) {
  if (object.starts_with("arch/"))
    return name.starts_with("vdso-image-") ||
           is_one_of(name, {"piggy.o", "rmpiggy.o", "kexec-purgatory.o", "purgatory.ro"});
  return is_one_of(object, {"init/version.o", "init/version-timestamp.o", "certs/system_certificates.o"});
}

/// What the links make beside the units: vmlinux.o, .tmp_*.o, .vmlinux.export.o, NAME.mod.o, NAME.prelink.o,
/// NAME.lto.o.
bool is_link_product(const std::string& object, const std::string& name) {
  const auto ends = [&](std::string_view end) { return name.ends_with(end); };
  return name.starts_with('.') || object == "vmlinux.o" || ends(".mod.o") || ends(".prelink.o") || ends(".lto.o") ||
         ends(".stub.o") || ends("-in.o");
}

bool has_module(const KernelIndex& index, std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return std::any_of(index.units().begin(), index.units().end(), [&](const auto& entry) {
    const std::vector<std::string>& objects = entry.second.objects;
    return std::find(objects.begin(), objects.end(), name) != objects.end();
  });
}

bool compiles_kernel_source(const std::string& command) {
  return command.find(" -D__KERNEL__") != std::string::npos && command.find(" -c ") != std::string::npos;
}

/// Named functions or variables in `shared` sections, and none of the sections that the compiler makes for each.
bool lacks_own_sections(const elf::ElfObject& object, uint8_t type, std::initializer_list<std::string_view> shared) {
  bool found = false;
  for (const elf::Section& section : object.sections()) {
    for (const std::string_view name : shared) {
      const std::string_view rest = section.name.starts_with(name) ? section.name.substr(name.size()) : "";
      // ".rodata.str1.1" and ".data..percpu" are there without the option as well.
      const bool own =
          rest.size() > 1 && rest[0] == '.' && rest[1] != '.' && !rest.starts_with(".str") && !rest.starts_with(".cst");
      if (own && section.size > 0) return false;
      if (section.name != name) continue;
      found |= std::any_of(section.symbols.begin(), section.symbols.end(),
                           [&](const elf::Symbol* symbol) { return symbol->type == type && symbol->size > 0; });
    }
  }
  return found;
}

}  // namespace

TreeObject kind_of_object(const KernelIndex& index, const std::string& object, const std::string& saved_command) {
  const std::string name = object.substr(object.rfind('/') + 1);
  if (is_below_build_directory(object) || is_product_of_build(object, name) || is_link_product(object, name))
    return TreeObject::other;
  const bool known_other = !saved_command.empty() && !compiles_kernel_source(saved_command);
  const auto found = index.units().find(object);
  if (kind_of_path(object.substr(0, object.size() - 2) + ".c") == PathKind::special_image) {
    if (known_other && found == index.units().end()) return TreeObject::other;
    const bool has_run = object.find("/boot/") != std::string::npos || object.find("/libstub/") != std::string::npos;
    return has_run ? TreeObject::boot_image : TreeObject::special_image;
  }
  if (found != index.units().end())
    return found->second.source.ends_with(".S") || found->second.source.ends_with(".s") ? TreeObject::assembly
                                                                                        : TreeObject::unit;
  // A module of several objects is linked into NAME.o first.
  if (known_other || (saved_command.empty() && has_module(index, name.substr(0, name.size() - 2))))
    return TreeObject::other;
  return TreeObject::stranger;
}

SavedCommand saved_command(const fs::path& root, const std::string& object) {
  const fs::path path = root / object;
  const fs::path file = path.parent_path() / fmt::format(".{}.cmd", path.filename().string());
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return {};
  const std::string text = read_file(file);
  const auto value = [&](std::string_view variable) -> std::string {
    size_t at = text.starts_with(variable) ? 0 : text.find("\n" + std::string(variable));
    at = at == std::string::npos ? at : text.find(" := ", at);
    if (at == std::string::npos) return {};
    return text.substr(at + 4, text.find('\n', at) - at - 4);
  };
  std::string command = value("savedcmd_");  // since 6.4
  if (command.empty()) command = value("cmd_");
  return {command, value("source_")};
}

void check_unit_object(const fs::path& path) {
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  const std::string hint_lto = "compile both trees without link time optimisation (CONFIG_LTO_NONE=y)";
  // LLVM's bitcode: "BC" 0xC0DE, or its wrapper, which begins with 0x0B17C0DE.
  const std::string_view begin(magic.data(), magic.size());
  if (begin == "BC\xC0\xDE" || begin == "\xDE\xC0\x17\x0B")
    throw Error(path.string() + " is LLVM bitcode, not machine code", hint_lto);
  const elf::ElfObject object = elf::ElfObject::read(path, elf::ElfObject::Want::symbols_only);
  for (const elf::Section& section : object.sections()) {
    if (section.name.starts_with(".gnu.lto_"))
      throw Error(path.string() + " holds GCC's LTO streams; its code is made at the link", hint_lto);
  }
  const std::string hint =
      "compile both trees with make KCFLAGS=\"-ffunction-sections -fdata-sections\"; sections are then merged at the "
      "link, and the kernel is the same";
  if (lacks_own_sections(object, elf::kSttFunc, {".text"}))
    throw Error(path.string() + " was compiled without -ffunction-sections: its functions share one section", hint);
  if (lacks_own_sections(object, elf::kSttObject, {".data", ".bss", ".rodata"}))
    throw Error(path.string() + " was compiled without -fdata-sections: its variables share one section", hint);
}

}  // namespace klp::kernel
