// An address is `addis rX,r2,upper` and an instruction that adds the lower half to rX. GNU ld leaves the first out
// where the upper half is zero, and the second counts from r2; and of `ld rX,slot` it makes `addi rX,address` where the
// address that the slot would hold is near enough (bfd/elf64-ppc.c: ppc64_elf_relocate_section, ppc64_elf_edit_toc).
#include "arch/ppc64/linked.h"

#include "arch/ppc64/abi.h"
#include "support/bytes.h"

namespace klp::arch {
namespace {

constexpr uint32_t kAddi = 14, kAddis = 15, kLd = 58;

struct Word {
  explicit Word(std::span<const std::byte> bytes) : all(read_le<uint32_t>(bytes, 0)) {}
  uint32_t opcode() const { return all >> 26; }
  uint32_t to() const { return all >> 21 & 31; }
  uint32_t from() const { return all >> 16 & 31; }
  int64_t immediate() const { return static_cast<int16_t>(all & 0xffff); }
  uint32_t all;
};

class Ppc64LinkedCode : public LinkedCode {
 public:
  bool is_half(uint32_t type) const override { return ppc64_abi::is_toc_offset(type); }

  bool is_upper(uint32_t type) const override { return type == R_PPC64_TOC16_HA; }

  bool sets_base(uint32_t type) const override { return type == R_PPC64_REL16_HA || type == R_PPC64_REL16_LO; }

  uint32_t base_register() const override { return 2; }

  std::optional<Half> half(uint32_t type, std::span<const std::byte> compiled,
                           std::span<const std::byte> linked) const override {
    const Word ours(compiled), theirs(linked);
    if (ours.to() != theirs.to()) return std::nullopt;
    if (is_upper(type)) {
      if (theirs.opcode() != kAddis || ours.opcode() != kAddis || theirs.from() != ours.from()) return std::nullopt;
      return Half{theirs.immediate() * 0x10000, theirs.from(), theirs.to(), false};
    }
    const bool by_words = type == R_PPC64_TOC16_DS || type == R_PPC64_TOC16_LO_DS;
    const uint32_t low_bits = by_words ? 3 : 0;
    const bool is_load = ours.opcode() == kLd && (ours.all & 3) == 0;
    if (is_load && theirs.opcode() == kAddi) return Half{theirs.immediate(), theirs.from(), theirs.to(), false};
    if (ours.opcode() != theirs.opcode() || ((ours.all ^ theirs.all) & low_bits) != 0) return std::nullopt;
    return Half{theirs.immediate() & ~static_cast<int64_t>(low_bits), theirs.from(), theirs.to(), is_load};
  }

  uint64_t local_entry(const elf::Symbol& function) const override { return ppc64_abi::local_entry(function); }
};

}  // namespace

const LinkedCode& ppc64_linked_code() {
  static const Ppc64LinkedCode instance;
  return instance;
}

}  // namespace klp::arch
