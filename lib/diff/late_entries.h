// Table entries that the livepatch core completes too late: the kernel reads a module's tables while it loads it, the
// references into a patched module are resolved after that, at the earliest.
#pragma once

#include <string>

#include "diff/references.h"
#include "diff/tables.h"

namespace klp::diff {

/// What is done about an entry.
struct LateEntry {
  enum class Treatment {
    carry,      ///< nothing in it is late, or the plan refuses it
    leave_out,  ///< the code does the same without it
    switch_off  ///< without it a tracepoint stays off in the new code, which the user must be told
  };
  Treatment treatment = Treatment::carry;
  std::string tracepoint;  ///< switch_off: its name
};

/// `function` is the carried function that the entry belongs to, or whose replacement code it is.
/// Static calls: the compiled call goes through the trampoline, which the kernel keeps right (include/linux/
/// static_call.h). Jump labels: of a tracepoint's key (include/linux/tracepoint.h) only, and only when the site is a
/// NOP or becomes one, so that the code without the entry is the code with the tracepoint off.
LateEntry late_entry(const TableEntry& entry, const Piece& function, const Pieces& patched,
                     const ReferencePolicy& policy);

/// What the site of a static branch must hold instead of the compiled jump (Arch::branch_placeholder); empty: nothing.
std::span<const std::byte> branch_placeholder(const TableEntry& entry, const Piece& function, const Pieces& patched);

}  // namespace klp::diff
