#include "diff/plan_outside.h"

#include "elf/relocation_name.h"
#include "support/error.h"

namespace klp::diff {
namespace {

std::optional<Obstacle> obstacle_of_branch(const arch::Arch& arch, const OutsideReference& reference) {
  switch (arch.leaving(reference.section.data, reference.planned.offset, reference.name)) {
    case arch::Arch::Leaving::fine:
      return std::nullopt;
    case arch::Arch::Leaving::tail_call:
      return Obstacle{"sibling-call",
                      fmt::format("jumps to {}, which is outside of the livepatch, at +{:#x} instead of calling it",
                                  reference.name, reference.code_offset),
                      "compile with -fno-optimize-sibling-calls"};
    case arch::Arch::Leaving::lacks_nop:
      break;
  }
  return Obstacle{
      "unsupported-relocation",
      fmt::format("the call of {} at +{:#x} has no NOP behind it, in whose place the module loader puts the "
                  "instruction that restores r2",
                  reference.name, reference.code_offset),
      "compile both objects with an assembler that inserts it, as klp-diff build does"};
}

}  // namespace

std::optional<Obstacle> obstacle_outside(const arch::Arch& arch, const OutsideReference& reference) {
  if (arch.is_made_by_loader(reference.name)) return std::nullopt;
  const uint32_t type = reference.planned.type;
  if (!arch.reaches_out(type)) {
    return Obstacle{"unsupported-relocation",
                    fmt::format("refers to {} by a relocation {}, which does not reach out of a module", reference.name,
                                elf::relocation_name(reference.object.machine, type)),
                    "compile both objects as modules are (-mcmodel=large)"};
  }
  if (reference.late && !arch.loader_accepts_late(type, reference.section.flags)) {
    return Obstacle{"unsupported-relocation",
                    fmt::format("{} refers to {} of a module that may come when the livepatch is write-protected",
                                reference.section.name, reference.name),
                    "make the data writable (drop const)"};
  }
  return reference.branch ? obstacle_of_branch(arch, reference) : std::nullopt;
}

}  // namespace klp::diff
