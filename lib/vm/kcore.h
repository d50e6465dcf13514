// Where a kernel address lies in /proc/kcore, the kernel's own memory as an ELF core file (fs/proc/kcore.c).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace klp::vm {

/// One PT_LOAD program header.
struct KcoreSegment {
  uint64_t address = 0, size = 0, offset = 0;
};

/// The size of the part of the file that holds the ELF header and the program headers, from its first 64 bytes.
/// Error when these are no ELF64 header.
uint64_t kcore_headers_size(std::span<const std::byte> start);

/// The PT_LOAD segments. `headers` is the start of the file, kcore_headers_size() bytes of it at least.
std::vector<KcoreSegment> kcore_segments(std::span<const std::byte> headers);

/// The file offset of [address, address + size). Error when it is not within one segment.
uint64_t kcore_offset(const std::vector<KcoreSegment>& segments, uint64_t address, uint64_t size);

}  // namespace klp::vm
