// Reads /proc/kcore's program headers. Chosen over QEMU's monitor: memsave goes through the current CPU's page tables,
// which lack the kernel half while that CPU is in user mode under page table isolation.
#include "vm/kcore.h"

#include <elf.h>

#include "support/bytes.h"

namespace klp::vm {
namespace {

template <typename Record>
Record record_at(std::span<const std::byte> bytes, uint64_t offset) {
  Record record;
  std::memcpy(&record, slice(bytes, offset, sizeof record).data(), sizeof record);
  return record;
}

Elf64_Ehdr header_of(std::span<const std::byte> start) {
  const auto header = record_at<Elf64_Ehdr>(start, 0);
  check(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
            header.e_phentsize == sizeof(Elf64_Phdr),
        "the guest's /proc/kcore is no ELF64 file");
  return header;
}

}  // namespace

uint64_t kcore_headers_size(std::span<const std::byte> start) {
  const Elf64_Ehdr header = header_of(start);
  return header.e_phoff + uint64_t{header.e_phnum} * header.e_phentsize;
}

std::vector<KcoreSegment> kcore_segments(std::span<const std::byte> headers) {
  const Elf64_Ehdr header = header_of(headers);
  std::vector<KcoreSegment> segments;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto program = record_at<Elf64_Phdr>(headers, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (program.p_type == PT_LOAD) segments.push_back({program.p_vaddr, program.p_memsz, program.p_offset});
  }
  return segments;
}

uint64_t kcore_offset(const std::vector<KcoreSegment>& segments, uint64_t address, uint64_t size) {
  for (const KcoreSegment& segment : segments) {
    if (address < segment.address || address - segment.address > segment.size) continue;
    const uint64_t into = address - segment.address;
    if (segment.size - into >= size) return segment.offset + into;
  }
  fail("no kernel memory at {:#x} (+{:#x})", address, size);
}

}  // namespace klp::vm
