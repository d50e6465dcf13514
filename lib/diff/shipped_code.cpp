#include "diff/shipped_code.h"

#include <algorithm>

#include "support/bytes.h"

namespace klp::diff {

ShippedCode::ShippedCode(const elf::SymbolIndex& index, const arch::Arch& arch)
    : index_(index), arch_(arch), linked_(index.object().type() != 1) {}

Spot ShippedCode::spot_of(const elf::Symbol& symbol) const {
  if (symbol.is_undefined() || symbol.place == elf::SymbolPlace::common) return {nullptr, 0, &symbol};
  if (!symbol.is_defined()) return {nullptr, symbol.value, nullptr};
  return {symbol.section, linked_ ? symbol.value - symbol.section->address : symbol.value, nullptr};
}

std::optional<Spot> ShippedCode::at(const elf::Section& section, int64_t offset) const {
  if (!linked_) return Spot{&section, static_cast<uint64_t>(offset), nullptr};
  const uint64_t address = section.address + static_cast<uint64_t>(offset);
  const elf::Section* target = index_.section_at(address);
  if (target == nullptr) return Spot{nullptr, address, nullptr};
  return Spot{target, address - target->address, nullptr};
}

std::optional<Spot> ShippedCode::field_target(const elf::Section& section, uint64_t offset, const elf::Relocation& like,
                                              uint64_t field_to_pc) const {
  const arch::FieldKind kind = arch_.field_kind(like);
  if (!section.has_data() || offset + kind.width > section.data.size()) return std::nullopt;
  if (!linked_) {
    const auto& all = section.relocations;
    const auto found = std::lower_bound(all.begin(), all.end(), offset,
                                        [](const elf::Relocation& r, uint64_t v) { return r.offset < v; });
    if (found != all.end() && found->offset == offset && arch_.field_kind(*found).width > 0) {
      Spot spot = spot_of(*found->symbol);
      spot.offset += static_cast<uint64_t>(arch_.target_offset(*found, field_to_pc));
      return spot;
    }
    if (!kind.pc_relative) return std::nullopt;
  }
  uint64_t value = 0;
  if (kind.width == 8) {
    value = read_le<uint64_t>(section.data, offset);
  } else {
    const auto raw = read_le<uint32_t>(section.data, offset);
    value = kind.is_signed ? static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(raw))) : raw;
  }
  if (kind.pc_relative) return at(section, static_cast<int64_t>(offset + field_to_pc + value));
  const elf::Section* target = index_.section_at(value);
  if (target == nullptr) return Spot{nullptr, value, nullptr};
  return Spot{target, value - target->address, nullptr};
}

}  // namespace klp::diff
