// A module's file as the kernel's loader reads it: headers and tables at the places that the file names, nothing
// checked but that they lie in the file. elf/elf_object.h checks what it reads and refuses; a model of the loader must
// go on where the kernel does. Layouts: the ELF specification, 64 bits, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace klp::verify {

/// What the kernel does next depends on memory that is not the module's: thrown by everything that follows the loader.
class Unpredictable : public Error {
 public:
  using Error::Error;
};

struct RawHeader {
  uint16_t type = 0, machine = 0;
  uint64_t sections_offset = 0;
  uint16_t section_entry_size = 0, section_count = 0, names_index = 0;
};

struct RawSection {
  uint32_t name = 0, type = 0;
  uint64_t flags = 0, address = 0, offset = 0, size = 0;
  uint32_t link = 0, info = 0;
  uint64_t align = 0;
};

struct RawSymbol {
  uint32_t name = 0;
  uint8_t info = 0, other = 0;
  uint16_t section = 0;
  uint64_t value = 0;
  uint8_t bind() const { return info >> 4; }
};

struct RawRelocation {
  uint64_t offset = 0;
  uint32_t type = 0, symbol = 0;
  int64_t addend = 0;
};

inline constexpr uint64_t kHeaderSize = 64, kSectionHeaderSize = 64, kSymbolSize = 24, kRelocationSize = 24;

/// The pieces at a place of `bytes`. Unpredictable when they do not lie in them as a whole.
RawHeader raw_header(std::span<const std::byte> bytes);
RawSection raw_section(std::span<const std::byte> bytes, uint64_t offset);
RawSymbol raw_symbol(std::span<const std::byte> bytes, uint64_t index);
RawRelocation raw_relocation(std::span<const std::byte> bytes, uint64_t index);

/// The string at `offset`, as the kernel's functions see it: up to its NUL, wherever that is.
std::string_view raw_string(std::span<const std::byte> bytes, uint64_t offset);
/// The part [offset, offset + size).
std::span<const std::byte> raw_part(std::span<const std::byte> bytes, uint64_t offset, uint64_t size);

}  // namespace klp::verify
