#include "diff/detours.h"

#include <algorithm>
#include <cstring>

#include "support/error.h"

namespace klp::diff {
namespace {

constexpr uint64_t kDistance = 1, kJump = std::to_integer<uint64_t>(kJumpSize);  // of Arch::jump_away()

std::vector<const elf::Relocation*> relocations_in(const Pieces& patched, const Piece& piece, uint64_t start,
                                                   uint64_t end) {
  std::vector<const elf::Relocation*> result;
  for (const elf::Relocation& r : patched.relocations(piece)) {
    if (r.offset >= piece.offset + start && r.offset < piece.offset + end) result.push_back(&r);
  }
  return result;
}

bool has_late_reference(const Detour& d, const Piece& function, const DetourContext& context) {
  const auto relocations = relocations_in(*context.patched, *d.from, d.start, d.end);
  return std::any_of(relocations.begin(), relocations.end(), [&](const elf::Relocation* r) {
    return context.patched->arch().field_kind(*r).width != 0 &&
           context.policy->decide(context.patched->resolve(*r), function, false).late();
  });
}

/// Whether an instruction reaches the code around the range by a distance that the assembler has filled in.
bool reaches_out(const elf::Instruction& i, const Detour& d, const Pieces& patched) {
  const auto relocations = relocations_in(patched, *d.from, i.offset, i.offset + i.size);
  if (!relocations.empty()) return false;
  if (i.flow != elf::Flow::none)
    return i.target < static_cast<int64_t>(d.start) || i.target > static_cast<int64_t>(d.end);
  constexpr uint64_t kElsewhere = uint64_t{1} << 40;  // no constant is such an address by chance
  return !patched.disassembler()
              .mentions(d.from->data().subspan(i.offset, i.size), kElsewhere + i.offset, kElsewhere,
                        kElsewhere + d.from->size)
              .empty();
}

bool known_to_another_table(const Detour& d, const Tables& tables) {
  const auto& entries = tables.of(d.from);
  return std::any_of(entries.begin(), entries.end(), [&](const TableEntry& entry) {
    const auto at = static_cast<uint64_t>(entry.owner_offset);
    return !entry.layout->replacement && entry.owner_offset >= 0 && at >= d.start && at < d.end;
  });
}

bool can_move(const Detour& d, const DetourContext& context) {
  const Pieces& patched = *context.patched;
  if (patched.arch().jump_away(d.end - d.start).empty() || known_to_another_table(d, *context.tables)) return false;
  if (context.tables->ranges(*d.from->section, d.from->offset + d.start, d.from->offset + d.end).size() > 1)
    return false;
  for (const elf::Relocation* r : relocations_in(patched, *d.from, d.start, d.end)) {
    if (patched.resolve(*r).kind == Reference::Kind::string) return false;
  }
  uint64_t expected = d.start;
  for (const elf::Instruction& i : patched.code(*d.from)) {
    if (i.offset + i.size <= d.start || i.offset >= d.end) continue;
    if (i.offset != expected || reaches_out(i, d, patched)) return false;
    expected = i.offset + i.size;
  }
  return expected == d.end;
}

/// The range that the kernel rewrites for an entry; nothing for other tables.
std::optional<Detour> site_of(const TableEntry& entry, const Piece& function) {
  const arch::TableLayout& layout = *entry.layout;
  if (!layout.replacement || !layout.site_length || layout.lengths_are_ends || entry.owner_offset < 0)
    return std::nullopt;
  const auto start = static_cast<uint64_t>(entry.owner_offset);
  const uint64_t end = start + static_cast<uint64_t>(entry.section->data[entry.offset + *layout.site_length]);
  if (end > function.size) return std::nullopt;
  return Detour{&function, start, end, start, end};
}

void put_distance(std::vector<std::byte>& code, uint64_t field, int64_t distance) {
  const auto value = static_cast<int32_t>(distance);
  std::memcpy(code.data() + field, &value, sizeof value);
}

}  // namespace

std::vector<Detour> site_detours(const Piece& function, const DetourContext& context) {
  std::vector<Detour> sites;
  if (function.kind != PieceKind::function || context.none) return sites;
  for (const TableEntry& entry : context.tables->of(&function)) {
    const auto site = site_of(entry, function);
    if (!site) continue;
    const auto same = std::find_if(sites.begin(), sites.end(), [&](const Detour& d) { return d.start == site->start; });
    if (same == sites.end())
      sites.push_back(*site);
    else if (same->end < site->end)
      *same = *site;
  }
  std::erase_if(sites,
                [&](const Detour& d) { return !has_late_reference(d, function, context) || !can_move(d, context); });
  std::sort(sites.begin(), sites.end(), [](const Detour& a, const Detour& b) { return a.start < b.start; });
  return sites;
}

std::optional<Detour> replacement_detour(const TableEntry& entry, const Fragment& fragment, const Piece& function,
                                         const DetourContext& context) {
  const auto site = site_of(entry, function);
  if (!site || context.none || fragment.size == 0 || !fragment.copied_at_load) return std::nullopt;
  const Detour detour{fragment.piece, fragment.start, fragment.start + fragment.size, site->site, site->back};
  // At most one state may be in force at the site, or it is not known which holds in the copy.
  const auto states =
      context.tables->ranges(*function.section, function.offset + site->start, function.offset + site->end);
  if (states.size() > 1 || !has_late_reference(detour, function, context) || !can_move(detour, context))
    return std::nullopt;
  return detour;
}

PlanLateEntry planned(const Detour& detour, const Piece& function, const DetourContext& context) {
  const bool own = detour.from == &function;
  PlanLateEntry result;
  result.function = function.name();
  result.offset = detour.site;
  result.table = ".altinstructions";
  for (const elf::Relocation* r : relocations_in(*context.patched, *detour.from, detour.start, detour.end)) {
    const Reference reference = context.patched->resolve(*r);
    if (!result.key.empty() || !context.policy->decide(reference, function, false).late()) continue;
    if (reference.kind == Reference::Kind::piece) result.key = reference.piece->name();
    if (reference.kind != Reference::Kind::piece && reference.symbol != nullptr) result.key = reference.symbol->name;
  }
  result.treatment = own ? "rewritten: the site's own code moved behind the function, where nothing is copied over it"
                         : "rewritten: the code to be copied moved behind the function, its copy jumps there";
  return result;
}

AppendedCode place(const Detour& detour, PlanSections& plan, size_t section, uint64_t at, size_t symbol) {
  const uint64_t size = detour.end - detour.start;
  const PlanSymbol function = plan.symbol(symbol);
  PlanSection& text = plan.section(function.section);
  const uint64_t start = text.data.size();
  check(start == function.value + function.size, "{}: something behind the function", text.name);

  PlanSection& source = plan.section(section);
  const auto code = source.data.begin() + static_cast<int64_t>(at);
  std::vector<std::byte> moved(code, code + static_cast<int64_t>(size)), back = plan.arch().jump_away(kJump);
  put_distance(back, kDistance,
               static_cast<int64_t>(function.value + detour.back) - static_cast<int64_t>(start + size + back.size()));
  moved.insert(moved.end(), back.begin(), back.end());
  std::vector<std::byte> there = plan.arch().jump_away(size);
  const bool same_section = &source == &text;
  if (same_section) put_distance(there, kDistance, static_cast<int64_t>(start) - static_cast<int64_t>(at + kJump));
  std::copy(there.begin(), there.end(), code);
  text.data.insert(text.data.end(), moved.begin(), moved.end());

  std::vector<PlanRelocation> with_code;
  for (PlanRelocation& r : source.relocations) {
    if (r.offset < at || r.offset >= at + size) continue;
    with_code.push_back(r);
    with_code.back().offset = start + (r.offset - at);
  }
  std::erase_if(source.relocations, [&](const PlanRelocation& r) { return r.offset >= at && r.offset < at + size; });
  text.relocations.insert(text.relocations.end(), with_code.begin(), with_code.end());
  if (!same_section) plan.add_jump(section, at + kDistance, function.section, start);
  plan.symbol(symbol).size += moved.size();
  return {detour.site, start - function.value, start - function.value + moved.size()};
}

}  // namespace klp::diff
