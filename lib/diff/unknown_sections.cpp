#include "diff/unknown_sections.h"

#include <fmt/format.h>

#include "diff/section_use.h"

namespace klp::diff {
namespace {

/// A global variable that only lies in a section of its own (__rt_sched_class): it was compared like any other, and
/// the running kernel's goes on meaning the original functions. Entries of tables are local or have no name.
bool is_known_variable(const PlanInput& input, const elf::Section& s, uint64_t offset) {
  const Piece* piece = input.patched->at(s, offset);
  return piece != nullptr && piece->kind == PieceKind::object && !piece->symbol->is_local() &&
         input.context->correlation->original_of(piece) != nullptr;
}

}  // namespace

void report_unknown_sections(const PlanInput& input, Findings& findings) {
  std::unordered_set<const Piece*> carried;
  for (const Carried& c : input.carried) carried.insert(c.piece);
  std::set<std::string_view> told;
  for (const elf::Section& s : input.patched->object().sections()) {
    if (!s.is_alloc() || input.patched->is_code(s) || input.tables->is_table(s) || is_known_section(s.name)) continue;
    if (input.patched->arch().slot_size(s) != 0) continue;  // what code loads from a slot it refers to itself
    for (const elf::Relocation& r : s.relocations) {
      if (input.patched->arch().field_kind(r).width == 0 || is_known_variable(input, s, r.offset)) continue;
      const Reference reference = input.patched->resolve(r);
      if (reference.kind != Reference::Kind::piece || reference.piece->kind != PieceKind::function) continue;
      if (carried.count(reference.piece) == 0 || !told.insert(s.name).second) continue;
      findings.add({Severity::refusal, "unsupported-section", input.context->object, input.unit,
                    std::string(reference.piece->name()),
                    fmt::format("section {} refers to this function and its meaning is not known", s.name),
                    "report the section's name"});
    }
  }
}

}  // namespace klp::diff
