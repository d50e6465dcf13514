// Bounds-checked little-endian reads and writes on byte ranges. Every supported target (x86_64, ppc64le) is
// little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "support/error.h"

namespace klp {

static_assert(std::endian::native == std::endian::little, "hosts are little-endian, like the targets");

/// Reads an integer of type T at byte `offset`. Throws Error when it does not fit.
template <typename T>
T read_le(std::span<const std::byte> bytes, uint64_t offset) {
  static_assert(std::is_integral_v<T>);
  check(offset <= bytes.size() && bytes.size() - offset >= sizeof(T), "read of {} bytes at offset {:#x} of {:#x}",
        sizeof(T), offset, bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

/// The sub-range [offset, offset + size). Throws Error when it does not fit.
inline std::span<const std::byte> slice(std::span<const std::byte> bytes, uint64_t offset, uint64_t size) {
  check(offset <= bytes.size() && bytes.size() - offset >= size, "range of {:#x} bytes at offset {:#x} of {:#x}", size,
        offset, bytes.size());
  return bytes.subspan(offset, size);
}

/// The NUL-terminated string at `offset`, without the NUL. Throws Error when no NUL follows.
inline std::string_view read_c_string(std::span<const std::byte> bytes, uint64_t offset) {
  check(offset < bytes.size(), "string at offset {:#x} of {:#x}", offset, bytes.size());
  const char* start = reinterpret_cast<const char*>(bytes.data()) + offset;
  const void* end = std::memchr(start, 0, bytes.size() - offset);
  check(end != nullptr, "string at offset {:#x} has no end", offset);
  return {start, static_cast<size_t>(static_cast<const char*>(end) - start)};
}

}  // namespace klp
