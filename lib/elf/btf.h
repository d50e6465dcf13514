// Facts about a kernel image that need no symbol lookup: struct sizes from its BTF, its build id, its banner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace klp::elf {

/// sizeof each named struct, in bytes, from the .BTF section of the ELF file `image`. Structs that the BTF does not
/// name are left out. Errors: no ELF file, no .BTF section.
std::map<std::string, uint64_t> struct_sizes(const std::filesystem::path& image, const std::vector<std::string>& names);

/// The same from the image's DWARF (seconds). Errors: no ELF file, no debug information.
std::map<std::string, uint64_t> struct_sizes_from_dwarf(const std::filesystem::path& image,
                                                        const std::vector<std::string>& names);

struct ImageFacts {
  bool has_btf = false;
  std::string build_id;  ///< hex; empty when there is no build id note
  std::string release;   ///< from the banner "Linux version RELEASE ("; empty when there is none
  bool has_symbols = false;
  bool has_debug_info = false;
  uint16_t machine = 0;  ///< e_machine
};

/// Reads the headers of a vmlinux. Errors: no ELF file, truncated, not 64-bit; they name the file.
ImageFacts read_image_facts(const std::filesystem::path& image);

}  // namespace klp::elf
