#include "diff/late_entries.h"

#include <algorithm>

#include "diff/closure.h"

namespace klp::diff {
namespace {

std::string_view target_name(const Reference& reference) {
  if (reference.kind == Reference::Kind::piece) return reference.piece->name();
  return reference.symbol != nullptr ? reference.symbol->name : std::string_view();
}

/// The tracepoint whose key switches the site of this entry; empty for any other key.
std::string tracepoint_of(const TableEntry& entry, const Pieces& patched) {
  constexpr std::string_view prefix = "__tracepoint_";
  for (const elf::Relocation* r : relocations_of(entry)) {
    if (r->offset - entry.offset != entry.layout->fields.back()) continue;
    const std::string_view key = target_name(patched.resolve(*r));
    if (key.starts_with(prefix)) return std::string(key.substr(prefix.size()));
  }
  return {};
}

std::span<const std::byte> site_of(const TableEntry& entry, const Piece& function) {
  const auto at = static_cast<uint64_t>(entry.owner_offset);
  if (entry.owner_offset < 0 || at >= function.size) return {};
  return function.data().subspan(at);
}

bool site_is_nop(const TableEntry& entry, const Piece& function, const Pieces& patched) {
  return patched.arch().begins_with_nop(site_of(entry, function)) ||
         !branch_placeholder(entry, function, patched).empty();
}

}  // namespace

std::span<const std::byte> branch_placeholder(const TableEntry& entry, const Piece& function, const Pieces& patched) {
  if (!entry.spec->switches_branch) return {};
  for (const elf::Relocation* r : relocations_of(entry)) {
    if (r->offset - entry.offset == entry.layout->fields.back())
      return patched.arch().branch_placeholder(site_of(entry, function), r->addend);
  }
  return {};
}

LateEntry late_entry(const TableEntry& entry, const Piece& function, const Pieces& patched,
                     const ReferencePolicy& policy) {
  const auto relocations = relocations_of(entry);
  const bool late = std::any_of(relocations.begin(), relocations.end(), [&](const elf::Relocation* r) {
    return patched.arch().field_kind(*r).width != 0 && policy.decide(patched.resolve(*r), function, true).late();
  });
  if (!late) return {};
  if (entry.spec->code_is_complete) return {LateEntry::Treatment::leave_out, {}};
  if (!entry.spec->switches_branch || !site_is_nop(entry, function, patched)) return {};
  std::string tracepoint = tracepoint_of(entry, patched);
  if (tracepoint.empty()) return {};
  return {LateEntry::Treatment::switch_off, std::move(tracepoint)};
}

}  // namespace klp::diff
