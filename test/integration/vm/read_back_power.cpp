// All of it after arch/powerpc/kernel/module_64.c, arch/powerpc/kernel/module.c and arch/powerpc/lib/feature-fixups.c,
// Linux 6.1.
#include "read_back_power.h"

#include <elf.h>

#include "support/bytes.h"
#include "support/error.h"

namespace klp::test {
namespace {

using diff::Piece;
using diff::Reference;

constexpr uint64_t kWord = 4;
constexpr uint32_t kNop = 0x60000000, kRestoreR2 = 0xe8410018, kLwsync = 0x7c2004ac;
constexpr uint32_t kEntry = 118;  // R_PPC64_ENTRY, which <elf.h> lacks

uint32_t word_at(std::span<const std::byte> code, uint64_t at) {
  return read_le<uint32_t>(code, at);
}

/// The signed number in the lower half of an instruction.
int64_t low_half(uint32_t instruction) {
  return static_cast<int16_t>(instruction & 0xffff);
}

/// b, bl, bc.
bool is_branch(uint32_t instruction) {
  return instruction >> 26 == 18 || instruction >> 26 == 16;
}

bool is_distance_from_base(uint32_t type) {
  return type == R_PPC64_TOC16 || type == R_PPC64_TOC16_LO || type == R_PPC64_TOC16_HA || type == R_PPC64_TOC16_DS ||
         type == R_PPC64_TOC16_LO_DS;
}

std::pair<const elf::Symbol*, int64_t> key_of(const elf::Relocation& relocation) {
  return {relocation.symbol, relocation.addend};
}

}  // namespace

PowerCode::PowerCode(GuestView& guest, const std::string& module, const elf::SymbolIndex& vmlinux,
                     const diff::Pieces& pieces)
    : guest_(guest), vmlinux_(vmlinux), pieces_(pieces) {
  constexpr uint64_t kAlignment = 256, kMiddle = 0x8000;
  base_ = guest_.section(module, ".toc") / kAlignment * kAlignment + kMiddle;
}

uint64_t PowerCode::number_at(uint64_t address, uint64_t size) {
  const std::vector<std::byte> bytes = guest_.memory(address, size);
  return size == 8 ? read_le<uint64_t>(bytes, 0) : read_le<uint32_t>(bytes, 0);
}

uint64_t PowerCode::address_of(const char* variable) const {
  const elf::Symbol* symbol = vmlinux_.maybe_global(variable);
  check(symbol != nullptr, "vmlinux has no {}", variable);
  return symbol->value;
}

std::string PowerCode::fault_of_prefix(const Piece& function, uint64_t address) {
  if (function.prefix == 0) return {};
  const uint64_t distance = number_at(address - function.prefix, 8);
  if (address + distance == base_) return {};
  return fmt::format("{}: r2 would be {:#x}, the module's is {:#x}", function.name(), address + distance, base_);
}

const PowerCode::Uppers& PowerCode::uppers_of(const LoadedCode& code) {
  const auto [place, is_new] = uppers_.try_emplace({&code.piece, code.address});
  Uppers& uppers = place->second;
  if (!is_new) return uppers;
  for (const elf::Relocation& relocation : pieces_.relocations(code.piece)) {
    if (relocation.type != R_PPC64_TOC16_HA) continue;
    const int64_t upper = read_le<int16_t>(code.memory, relocation.offset - code.piece.offset) * int64_t{0x10000};
    const auto [known, made] = uppers.emplace(key_of(relocation), upper);
    if (!made && known->second != upper) known->second.reset();
  }
  return uppers;
}

PowerTarget PowerCode::target(const LoadedCode& code, const elf::Relocation& relocation, const Reference& reference) {
  const uint64_t at = relocation.offset - code.piece.offset;
  if (relocation.type == kEntry) return entry(code, at);
  if (is_distance_from_base(relocation.type)) return distance(code, relocation, reference);
  if (relocation.type == R_PPC64_REL24) return call(code, at, reference);
  const arch::FieldKind field = pieces_.arch().field_kind(relocation);
  if (field.width == 0) return {};
  if (field.width == 2) return {{}, {}, fmt::format("a field of type {} is not looked at", relocation.type)};
  uint64_t value = number_at(code.address + at, field.width);
  if (field.width == 4 && field.is_signed)
    value = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
  return {field.pc_relative ? value + code.address + at + static_cast<uint64_t>(reference.bias) : value};
}

/// That of the same address; or of all, as gcc makes one do for neighbours.
std::optional<int64_t> PowerCode::upper_for(const LoadedCode& code, const elf::Relocation& relocation) {
  const Uppers& uppers = uppers_of(code);
  if (const auto found = uppers.find(key_of(relocation)); found != uppers.end()) return found->second;
  std::optional<int64_t> common;
  for (const auto& [key, upper] : uppers) {
    if (!upper || (common && *common != *upper)) return std::nullopt;
    common = upper;
  }
  return common;
}

PowerTarget PowerCode::distance(const LoadedCode& code, const elf::Relocation& relocation, const Reference& reference) {
  if (relocation.type == R_PPC64_TOC16_HA) return {};
  const uint64_t at = relocation.offset - code.piece.offset;
  const uint64_t mask = pieces_.arch().field_kind(relocation).mask;
  int64_t value = static_cast<int16_t>(read_le<uint16_t>(code.memory, at) & mask);
  if (relocation.type == R_PPC64_TOC16_LO || relocation.type == R_PPC64_TOC16_LO_DS) {
    const std::optional<int64_t> upper = upper_for(code, relocation);
    if (!upper) return {{}, {}, "half of an address has no other half"};
    value += *upper;
  }
  const uint64_t place = base_ + static_cast<uint64_t>(value);
  return {reference.slot != nullptr ? number_at(place, 8) : place};
}

/// From a function's entry for those with another r2 to the one that is at an address; 0 when there is but one.
uint64_t PowerCode::distance_to_entry(uint64_t address) {
  constexpr uint32_t kFromR12[] = {0xe84c, 0x3c4c}, kSum[] = {0x7c42, 0x3842};  // ld and add, or addis and addi
  constexpr uint64_t kDistance = 2 * kWord;
  const std::vector<std::byte> code = guest_.memory(address - kDistance, kDistance);
  for (size_t i = 0; i < 2; ++i) {
    if (word_at(code, 0) >> 16 == kFromR12[i] && word_at(code, kWord) >> 16 == kSum[i]) return kDistance;
  }
  return 0;
}

/// create_stub(): the address of the function stands behind code that loads it.
PowerTarget PowerCode::call(const LoadedCode& code, uint64_t at, const Reference& reference) {
  constexpr uint32_t kDistance = 0x03fffffc;
  constexpr uint64_t kStub = 24, kStubTarget = 32;
  const uint32_t branch = word_at(code.memory, at);
  if (reference.symbol != nullptr && reference.symbol->name == "_mcount") {
    PowerTarget result{{}, std::pair{at, at + kWord}};
    if (branch != kNop) result.fault = fmt::format("ftrace's call is {:08x}, and nobody traces", branch);
    return result;
  }
  const int32_t distance = static_cast<int32_t>((branch & kDistance) << 6) >> 6;
  const uint64_t target = code.address + at + static_cast<uint64_t>(static_cast<int64_t>(distance));
  const std::vector<std::byte> there = guest_.memory(target, kStub);
  const bool is_stub = word_at(there, 0) >> 16 == 0x3d62 && word_at(there, 4) >> 16 == 0x396b &&  // r11 from r2
                       word_at(there, 8) == 0xf8410018 && word_at(there, 12) == 0xe98b0020 &&
                       word_at(there, 16) == 0x7d8903a6 && word_at(there, 20) == 0x4e800420;
  // Calls inside a module skip what sets r2 from r12.
  if (!is_stub) return {target - (reference.offset == 0 ? distance_to_entry(target) : 0)};
  const int64_t own = low_half(word_at(there, 0)) * 0x10000 + low_half(word_at(there, 4));
  PowerTarget result{number_at(target + kStubTarget, 8)};
  if (base_ + static_cast<uint64_t>(own) != target)
    result.fault =
        fmt::format("the stub at {:#x} takes itself to be at {:#x}", target, base_ + static_cast<uint64_t>(own));
  if (at + 2 * kWord > code.memory.size() || word_at(code.memory, at + kWord) != kRestoreR2)
    result.fault = "r2 is not restored after the call";
  else if (word_at(code.piece.data(), at + kWord) != kNop)
    result.fault = "what restores r2 after the call took the place of another instruction than a NOP";
  result.written = {at + kWord, at + 2 * kWord};
  return result;
}

/// `ld r2,-8(r12); add r2,r2,r12` becomes `addis r2,r12,...; addi r2,r2,...` when the distance is not too long.
PowerTarget PowerCode::entry(const LoadedCode& code, uint64_t at) const {
  const uint32_t first = word_at(code.memory, at), second = word_at(code.memory, at + kWord);
  if (first == word_at(code.piece.data(), at) && second == word_at(code.piece.data(), at + kWord)) return {};
  PowerTarget result{{}, std::pair{at, at + 2 * kWord}};
  const uint64_t r2 = code.address + at + static_cast<uint64_t>(low_half(first) * 0x10000 + low_half(second));
  if (first >> 16 != 0x3c4c || second >> 16 != 0x3842 || r2 != base_)
    result.fault =
        fmt::format("the function's start is {:08x} {:08x}, which does not make r2 {:#x}", first, second, base_);
  return result;
}

std::optional<Reference> PowerCode::field_of(const diff::TableEntry& entry, uint64_t offset) const {
  for (const elf::Relocation& relocation : entry.section->relocations) {
    if (relocation.offset == entry.offset + offset) return pieces_.resolve(relocation);
  }
  return std::nullopt;
}

/// The kernel's features that a table's entries ask for. struct cpu_spec: arch/powerpc/include/asm/cputable.h.
std::optional<uint64_t> PowerCode::features_for(const diff::TableEntry& entry) {
  constexpr uint64_t kCpuFeatures = 16, kMmuFeatures = 32;
  const std::string_view table = entry.spec->section;
  if (table == "__fw_ftr_fixup") return number_at(address_of("powerpc_firmware_features"), 8);
  if (table == "__ftr_fixup") return number_at(number_at(address_of("cur_cpu_spec"), 8) + kCpuFeatures, 8);
  if (table == "__mmu_ftr_fixup") return number_at(number_at(address_of("cur_cpu_spec"), 8) + kMmuFeatures, 4);
  return std::nullopt;
}

/// Without the features the site has the alternate, which may be empty, and NOPs. Its branches lead elsewhere from
/// there: they are not looked at.
void PowerCode::add_feature(const diff::TableEntry& entry, std::map<uint64_t, std::optional<uint32_t>>& words) {
  constexpr uint64_t kMask = 0, kValue = 8, kEnd = 24, kAlternate = 32, kAlternateEnd = 40;
  const uint64_t features = features_for(entry).value();
  const auto number = [&](uint64_t at) { return read_le<uint64_t>(entry.section->data, entry.offset + at); };
  if ((features & number(kMask)) == number(kValue)) return;
  const auto end = field_of(entry, kEnd), alternate = field_of(entry, kAlternate),
             alternate_end = field_of(entry, kAlternateEnd);
  check(end && alternate && alternate_end && alternate->piece != nullptr && alternate_end->piece != nullptr,
        "{}+{:#x}: an entry without all of its fields", entry.section->name, entry.offset);
  const elf::Section& code = *alternate->piece->section;
  uint64_t from = alternate->piece->offset + static_cast<uint64_t>(alternate->offset);
  const uint64_t from_end = alternate_end->piece->offset + static_cast<uint64_t>(alternate_end->offset);
  const auto owner_end = static_cast<uint64_t>(end->offset);
  for (auto at = static_cast<uint64_t>(entry.owner_offset); at < owner_end; at += kWord, from += kWord) {
    const uint32_t word = from < from_end ? word_at(code.data, from) : kNop;
    words[at] = is_branch(word) ? std::optional<uint32_t>() : word;
  }
}

std::map<uint64_t, std::optional<uint32_t>> PowerCode::sites(const LoadedCode& code,
                                                             const std::vector<diff::TableEntry>& entries) {
  std::map<uint64_t, std::optional<uint32_t>> words;
  for (const diff::TableEntry& entry : entries) {
    const std::string_view table = entry.spec->section;
    if (entry.owner_offset < 0 || static_cast<uint64_t>(entry.owner_offset) >= code.piece.size) continue;
    const auto at = static_cast<uint64_t>(entry.owner_offset);
    if (features_for(entry))
      add_feature(entry, words);
    else if (table == "__lwsync_fixup")
      words[at] = kLwsync;
    else if (table == "__patchable_function_entries")
      words[at] = kNop;
    else if (table == "__jump_table" || table.ends_with("_barrier_fixup") || table == "__barrier_nospec_fixup")
      words[at] = std::nullopt;
  }
  return words;
}

}  // namespace klp::test
