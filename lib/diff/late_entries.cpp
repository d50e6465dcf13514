#include "diff/late_entries.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "diff/closure.h"
#include "diff/key_tests.h"
#include "support/error.h"

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

/// Empty: the site stays as it was compiled.
std::span<const std::byte> branch_placeholder(const TableEntry& entry, const Piece& function, const Pieces& patched) {
  if (!entry.spec->switches_branch) return {};
  for (const elf::Relocation* r : relocations_of(entry)) {
    if (r->offset - entry.offset == entry.layout->fields.back())
      return patched.arch().branch_placeholder(site_of(entry, function), r->addend);
  }
  return {};
}

bool site_is_nop(const TableEntry& entry, const Piece& function, const Pieces& patched) {
  return patched.arch().begins_with_nop(site_of(entry, function)) ||
         !branch_placeholder(entry, function, patched).empty();
}

uint64_t site_end(const TableEntry& entry, const Pieces& patched) {
  const uint64_t at = entry.offset + *entry.layout->site_length;
  if (!entry.layout->lengths_are_ends)
    return static_cast<uint64_t>(entry.owner_offset) + static_cast<uint64_t>(entry.section->data[at]);
  for (const elf::Relocation* r : relocations_of(entry)) {
    if (r->offset == at) return static_cast<uint64_t>(patched.resolve(*r).offset);
  }
  fail("{}: entry at {:#x} has no end", entry.section->name, entry.offset);
}

std::string_view in_words(LateEntry::Treatment treatment) {
  switch (treatment) {
    case LateEntry::Treatment::leave_out:
      return "left out: the call goes through the trampoline, which the kernel keeps right";
    case LateEntry::Treatment::test_key:
      return "rewritten: the site jumps to code that tests the key each time";
    case LateEntry::Treatment::switch_off:
      return "left out: the tracepoint stays off in the new code, the site has no room for a jump";
    case LateEntry::Treatment::carry:
      break;
  }
  return "carried";
}

}  // namespace

PlanLateEntry planned(const LateEntry& late, const TableEntry& entry, const Piece& function, const Pieces& patched) {
  PlanLateEntry result;
  result.function = function.name();
  result.offset = static_cast<uint64_t>(entry.owner_offset);
  result.table = entry.section->name;
  for (const elf::Relocation* r : relocations_of(entry)) {
    if (r->offset - entry.offset == entry.layout->fields.back()) result.key = target_name(patched.resolve(*r));
  }
  result.treatment = in_words(late.treatment);
  return result;
}

Finding silent_tracepoints(const std::set<std::string>& names, const std::string& object, const std::string& unit) {
  return {
      Severity::warning,
      "module-static-key",
      object,
      unit,
      "",
      fmt::format("these tracepoints never fire from the replaced functions, even when enabled: {} (the kernel reads a "
                  "jump-label key of a module before livepatch has resolved it)",
                  fmt::join(names, ", ")),
      "harmless unless you trace them; to trace them, disable the livepatch meanwhile",
      false};
}

std::vector<std::pair<uint64_t, uint64_t>> rewritten_ranges(const Piece& function, const Tables& tables,
                                                            const Pieces& patched) {
  std::vector<std::pair<uint64_t, uint64_t>> result;
  if (function.kind != PieceKind::function) return result;
  for (const TableEntry& entry : tables.of(&function)) {
    if (!entry.layout->site_length || entry.owner_offset < 0) continue;
    result.emplace_back(entry.owner_offset, site_end(entry, patched));
  }
  return result;
}

void switch_off_branch(const TableEntry& entry, const Piece& function, const Pieces& patched, PatchObject& plan,
                       size_t symbol) {
  const auto code = branch_placeholder(entry, function, patched);
  if (code.empty()) return;
  const PlanSymbol& own = plan.symbols[symbol];
  const uint64_t start = own.value + static_cast<uint64_t>(entry.owner_offset), end = start + code.size();
  PlanSection& text = plan.sections[own.section];
  std::copy(code.begin(), code.end(), text.data.begin() + static_cast<int64_t>(start));
  std::erase_if(text.relocations, [&](const PlanRelocation& r) { return r.offset >= start && r.offset < end; });
}

LateEntry late_entry(const TableEntry& entry, const Piece& function, const Pieces& patched,
                     const ReferencePolicy& policy) {
  const auto relocations = relocations_of(entry);
  const bool late = std::any_of(relocations.begin(), relocations.end(), [&](const elf::Relocation* r) {
    return patched.arch().field_kind(*r).width != 0 && policy.decide(patched.resolve(*r), function, true).late();
  });
  if (!late) return {};
  if (entry.spec->code_is_complete) return {LateEntry::Treatment::leave_out, {}};
  if (key_test(entry, function, patched)) return {LateEntry::Treatment::test_key, {}};
  if (!entry.spec->switches_branch || !site_is_nop(entry, function, patched)) return {};
  std::string tracepoint = tracepoint_of(entry, patched);
  if (tracepoint.empty()) return {};
  return {LateEntry::Treatment::switch_off, std::move(tracepoint)};
}

}  // namespace klp::diff
