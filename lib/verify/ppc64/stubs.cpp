#include "verify/ppc64/stubs.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "support/bytes.h"

namespace klp::verify::ppc64 {
namespace {

/// The upper half of a sum whose lower half is added as a signed number, and that half (PPC_HA, PPC_LO).
uint32_t upper(uint64_t value) {
  return static_cast<uint32_t>((value + 0x8000) >> 16) & 0xffff;
}
uint32_t lower(uint64_t value) {
  return static_cast<uint32_t>(value) & 0xffff;
}

void put(StateSection& stubs, uint64_t at, std::span<const uint32_t> words) {
  for (const uint32_t word : words) {
    std::memcpy(stubs.memory.data() + at, &word, sizeof word);
    mark_unknown(stubs, at, sizeof word, false);
    at += sizeof word;
  }
}

/// create_stub: addis r11,r2; addi r11,r11; std r2,24(r1); ld r12,32(r11); mtctr r12; bctr
void put_stub(StateSection& stubs, uint64_t at, uint64_t r2) {
  const uint64_t distance = stubs.address + at - r2;
  const std::array<uint32_t, 6> code = {
      0x3d620000 | upper(distance), 0x396b0000 | lower(distance), 0xf8410018, 0xe98b0020, 0x7d8903a6, 0x4e800420};
  put(stubs, at, code);
}

/// create_ftrace_stub: ld r12,kernel_toc(r13); addis r12,r12; addi r12,r12; mtctr r12; bctr. Where the kernel's own r2
/// is in struct paca_struct is not looked up.
void put_ftrace_stub(const LoadState& s, StateSection& stubs, uint64_t at, const StubTarget& target) {
  constexpr uint64_t kOffset = 2;  // bytes of the field in the first instruction
  uint64_t kernel_r2 = 0;
  for (const elf::Symbol* symbol : s.kernel.vmlinux().all_named(".TOC.")) kernel_r2 = symbol->value;
  const uint64_t distance = target.address - kernel_r2;
  const std::array<uint32_t, 5> code = {0xe98d0000, 0x3d8c0000 | upper(distance), 0x398c0000 | lower(distance),
                                        0x7d8903a6, 0x4e800420};
  put(stubs, at, code);
  mark_unknown(stubs, at, kOffset, true);
  if (kernel_r2 == 0 || !target.known) mark_unknown(stubs, at, 3 * sizeof(uint32_t), true);
}

void put_target(StateSection& stubs, uint64_t at, const StubTarget& target) {
  constexpr uint64_t kMagicOffset = 28;
  std::memcpy(stubs.memory.data() + at + kMagicOffset, &kStubMagic, sizeof kStubMagic);
  std::memcpy(stubs.memory.data() + at + kStubTarget, &target.address, sizeof target.address);
  mark_unknown(stubs, at + kStubTarget, sizeof target.address, !target.known);
}

/// Different calls of a section whose relocations are sorted (count_relocs; the addend is kept in 32 bits).
uint64_t count_calls(const std::vector<RawRelocation>& relocations) {
  uint64_t count = 0;
  uint32_t symbol = 0, addend = 0;
  for (const RawRelocation& relocation : relocations) {
    if (relocation.type != R_PPC64_REL24) continue;
    if (symbol == relocation.symbol && relocation.addend == int64_t{addend}) continue;
    ++count;
    symbol = relocation.symbol;
    addend = static_cast<uint32_t>(relocation.addend);
  }
  return count;
}

/// relacmp: symbols, types and addends, all descending.
std::vector<RawRelocation> sort(std::vector<std::byte>& file, const RawSection& section) {
  const auto table = raw_part(file, section.offset, section.size);
  std::vector<RawRelocation> all;
  for (uint64_t i = 0; i < section.size / kRelocationSize; ++i) all.push_back(raw_relocation(table, i));
  std::stable_sort(all.begin(), all.end(), [](const RawRelocation& a, const RawRelocation& b) {
    return std::tie(a.symbol, a.type, a.addend) > std::tie(b.symbol, b.type, b.addend);
  });
  std::byte* at = file.data() + section.offset;
  for (const RawRelocation& relocation : all) {
    std::memcpy(at, &relocation.offset, 8);
    std::memcpy(at + 8, &relocation.type, 4);
    std::memcpy(at + 12, &relocation.symbol, 4);
    std::memcpy(at + 16, &relocation.addend, 8);
    at += kRelocationSize;
  }
  return all;
}

}  // namespace

bool is_ftrace_call(const LoadState& s, std::string_view name) {
  if (!s.kernel.config("MPROFILE_KERNEL")) return false;
  return name == "_mcount" || (name == "ftrace_caller" && s.kernel.config("DYNAMIC_FTRACE")) ||
         (name == "ftrace_regs_caller" && s.kernel.config("DYNAMIC_FTRACE_WITH_REGS"));
}

uint64_t stub_for(LoadState& s, StateSection& stubs, uint64_t r2, const StubTarget& target) {
  for (uint64_t at = 0; at + kStubSize <= stubs.memory.size(); at += kStubSize) {
    const auto leads_to = read_le<uint64_t>(stubs.memory, at + kStubTarget);
    if (leads_to != 0 && leads_to != target.address) continue;
    if (leads_to == 0) {
      if (is_ftrace_call(s, target.name))
        put_ftrace_stub(s, stubs, at, target);
      else
        put_stub(stubs, at, r2);
      put_target(stubs, at, target);
    }
    return stubs.address + at;
  }
  throw Unpredictable("there are fewer stubs than calls of different functions, and what lies behind is taken for one");
}

uint64_t first_free(const StateSection& stubs) {
  uint64_t at = 0;
  while (at + kStubSize <= stubs.memory.size() && read_le<uint64_t>(stubs.memory, at + kStubTarget) != 0)
    at += kStubSize;
  return stubs.address + at;
}

uint64_t arrange_relocations(LoadState& s) {
  uint64_t stubs = 1;  // one that stays free
  for (const StateSection& section : s.sections) {
    if (section.header.type == elf::kShtRela) stubs += count_calls(sort(s.file, section.header));
  }
  for (const char* user : {"DYNAMIC_FTRACE", "DYNAMIC_FTRACE_WITH_REGS"}) stubs += s.kernel.config(user) ? 1 : 0;
  return stubs * kStubSize;
}

void mark_order(StateSection& section) {
  constexpr uint64_t kOffsetSize = 8;
  const auto key = [&](uint64_t at) { return std::span(section.memory).subspan(at + kOffsetSize, 16); };
  for (uint64_t at = 0; at + 2 * kRelocationSize <= section.memory.size(); at += kRelocationSize) {
    const auto one = key(at), next = key(at + kRelocationSize);
    if (!std::equal(one.begin(), one.end(), next.begin())) continue;
    mark_unknown(section, at, kOffsetSize, true);
    mark_unknown(section, at + kRelocationSize, kOffsetSize, true);
  }
}

}  // namespace klp::verify::ppc64
