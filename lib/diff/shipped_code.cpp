#include "diff/shipped_code.h"

#include <algorithm>
#include <bit>

#include "support/bytes.h"

namespace klp::diff {
namespace {

constexpr uint16_t kRelocatable = 1;  // ET_REL

}  // namespace

ShippedCode::ShippedCode(const elf::SymbolIndex& index, const arch::Arch& arch)
    : index_(index), arch_(arch), linked_(index.object().type() != kRelocatable), branch_sites_(index.object(), arch) {}

std::vector<elf::Instruction> ShippedCode::decode(const elf::Disassembler& disassembler, const elf::Section& section,
                                                  uint64_t offset, std::span<const std::byte> bytes) const {
  std::vector<elf::Instruction> code = disassembler.decode(bytes);
  branch_sites_.turn_off(section, offset, bytes, code);
  return code;
}

Spot ShippedCode::spot_of(const elf::Symbol& symbol) const {
  if (symbol.is_undefined() || symbol.place == elf::SymbolPlace::common) return {nullptr, 0, &symbol};
  if (!symbol.is_defined()) return {nullptr, symbol.value, nullptr};
  return {symbol.section, linked_ ? symbol.value - symbol.section->address : symbol.value, nullptr};
}

std::optional<Spot> ShippedCode::at(const elf::Section& section, int64_t offset) const {
  if (!linked_) return Spot{&section, static_cast<uint64_t>(offset), nullptr};
  return at_address(section.address + static_cast<uint64_t>(offset));
}

Spot ShippedCode::at_address(uint64_t address) const {
  const elf::Section* target = index_.section_at(address);
  if (target == nullptr) return {nullptr, address, nullptr};
  return {target, address - target->address, nullptr};
}

std::optional<Spot> ShippedCode::behind_pointer(uint64_t address) const {
  const Spot pointer = at_address(address);
  if (pointer.section == nullptr || !pointer.section->has_data() ||
      pointer.offset + sizeof(uint64_t) > pointer.section->data.size())
    return std::nullopt;
  return at_address(read_le<uint64_t>(pointer.section->data, pointer.offset));
}

namespace {

/// The field's bits as a number.
uint64_t field_value(const arch::FieldKind& kind, std::span<const std::byte> data, uint64_t offset) {
  uint64_t raw = 0;
  for (uint64_t i = 0; i < kind.width; ++i) raw |= static_cast<uint64_t>(read_le<uint8_t>(data, offset + i)) << (8 * i);
  const uint64_t bits = kind.width == 8 ? kind.mask : kind.mask & ((uint64_t{1} << (8 * kind.width)) - 1);
  const uint64_t value = raw & bits;
  const bool negative = kind.is_signed && (value & std::bit_floor(bits)) != 0;
  return negative ? value | ~(std::bit_floor(bits) - 1) : value;
}

}  // namespace

std::optional<Spot> ShippedCode::field_target(const elf::Section& section, uint64_t offset, const elf::Relocation& like,
                                              int64_t bias) const {
  const arch::FieldKind kind = arch_.field_kind(like);
  if (!section.has_data() || offset + kind.width > section.data.size()) return std::nullopt;
  if (!linked_) {
    const auto& all = section.relocations;
    const auto found = std::lower_bound(all.begin(), all.end(), offset,
                                        [](const elf::Relocation& r, uint64_t v) { return r.offset < v; });
    if (found != all.end() && found->offset == offset && arch_.field_kind(*found).width > 0) {
      const elf::Relocation* slot = slot_behind(arch_, *found);
      Spot spot = spot_of(slot != nullptr ? *slot->symbol : *found->symbol);
      spot.offset += static_cast<uint64_t>(slot != nullptr ? slot->addend : arch_.target_offset(*found, bias));
      return spot;
    }
    if (!kind.pc_relative) return std::nullopt;
  }
  const uint64_t value = field_value(kind, section.data, offset);
  if (kind.pc_relative) return at(section, static_cast<int64_t>(offset + static_cast<uint64_t>(bias) + value));
  return at_address(value);
}

}  // namespace klp::diff
