#include "verify/module_file.h"

#include <cstring>

#include "support/bytes.h"

namespace klp::verify {

std::span<const std::byte> raw_part(std::span<const std::byte> bytes, uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size)
    throw Unpredictable(fmt::format("{} bytes at offset {:#x} are read, where the module has {:#x} in all", size,
                                    offset, bytes.size()));
  return bytes.subspan(offset, size);
}

std::string_view raw_string(std::span<const std::byte> bytes, uint64_t offset) {
  const auto rest = raw_part(bytes, offset, offset <= bytes.size() ? bytes.size() - offset : 1);
  const void* end = rest.empty() ? nullptr : std::memchr(rest.data(), 0, rest.size());
  if (end == nullptr) throw Unpredictable(fmt::format("a string at offset {:#x} has no end in the module", offset));
  const auto* start = reinterpret_cast<const char*>(rest.data());
  return {start, static_cast<size_t>(static_cast<const char*>(end) - start)};
}

RawHeader raw_header(std::span<const std::byte> bytes) {
  const auto at = raw_part(bytes, 0, kHeaderSize);
  RawHeader header;
  header.type = read_le<uint16_t>(at, 16);
  header.machine = read_le<uint16_t>(at, 18);
  header.sections_offset = read_le<uint64_t>(at, 40);
  header.section_entry_size = read_le<uint16_t>(at, 58);
  header.section_count = read_le<uint16_t>(at, 60);
  header.names_index = read_le<uint16_t>(at, 62);
  return header;
}

RawSection raw_section(std::span<const std::byte> bytes, uint64_t offset) {
  const auto at = raw_part(bytes, offset, kSectionHeaderSize);
  RawSection section;
  section.name = read_le<uint32_t>(at, 0);
  section.type = read_le<uint32_t>(at, 4);
  section.flags = read_le<uint64_t>(at, 8);
  section.address = read_le<uint64_t>(at, 16);
  section.offset = read_le<uint64_t>(at, 24);
  section.size = read_le<uint64_t>(at, 32);
  section.link = read_le<uint32_t>(at, 40);
  section.info = read_le<uint32_t>(at, 44);
  section.align = read_le<uint64_t>(at, 48);
  return section;
}

RawSymbol raw_symbol(std::span<const std::byte> bytes, uint64_t index) {
  const auto at = raw_part(bytes, index * kSymbolSize, kSymbolSize);
  RawSymbol symbol;
  symbol.name = read_le<uint32_t>(at, 0);
  symbol.info = read_le<uint8_t>(at, 4);
  symbol.other = read_le<uint8_t>(at, 5);
  symbol.section = read_le<uint16_t>(at, 6);
  symbol.value = read_le<uint64_t>(at, 8);
  return symbol;
}

RawRelocation raw_relocation(std::span<const std::byte> bytes, uint64_t index) {
  const auto at = raw_part(bytes, index * kRelocationSize, kRelocationSize);
  RawRelocation relocation;
  relocation.offset = read_le<uint64_t>(at, 0);
  relocation.type = read_le<uint32_t>(at, 8);
  relocation.symbol = read_le<uint32_t>(at, 12);
  relocation.addend = read_le<int64_t>(at, 16);
  return relocation;
}

}  // namespace klp::verify
