// Symbols for an image that has none of its own: from System.map, or from a copy of /proc/kallsyms.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace klp::elf {

/// The image with a symbol table made from `map`, lines "ffffffff81000000 T _text". A symbol reaches to the next one of
/// its section, at most to its end: padding counts as its own. Symbols of no allocated section (absolute ones, modules'
/// of kallsyms) are left out. Errors: no 64-bit little-endian ELF file, or one that has a symbol table; no line of `map`
/// fits, or all addresses are 0 (kallsyms read without privilege).
std::vector<std::byte> with_symbols_from(std::span<const std::byte> image, std::string_view map,
                                         const std::filesystem::path& name);

}  // namespace klp::elf
