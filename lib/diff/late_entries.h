// Table entries that the livepatch core completes too late: the kernel reads a module's tables while it loads it, the
// references into a patched module are resolved after that, at the earliest. What is done, by the place of such a
// reference (everything else is carried, and processed at load):
//
//   an entry of a static call                       left out: the compiled call takes the trampoline
//   the key of a jump label, site of five bytes     the code tests the key each time (key_tests.h)
//     a shorter site that is off, of a tracepoint   left out, with a warning: the tracepoint stays off
//     any other                                     refused: module-static-key
//   the code of an alternative, or its replacement  moved behind the function (detours.h)
//     where it cannot move                          refused: unsupported-relocation
//   code that other tables have rewritten           refused: unsupported-relocation (paravirt sites refer to vmlinux)
//   an entry of any other table                     refused: unsupported-relocation (they refer to the module itself)
#pragma once

#include <set>
#include <string>

#include "diff/livepatch_module.h"
#include "diff/references.h"
#include "diff/tables.h"

namespace klp::diff {

/// What is done about an entry.
struct LateEntry {
  enum class Treatment {
    carry,      ///< nothing in it is late, or the plan refuses it
    leave_out,  ///< the code does the same without it
    test_key,   ///< its static branch tests the key each time (key_tests.h)
    switch_off  ///< without it a tracepoint stays off in the new code, which the user must be told
  };
  Treatment treatment = Treatment::carry;
  std::string tracepoint;  ///< switch_off: its name
};

/// `function` is the carried function that the entry belongs to, or whose replacement code it is.
/// Static calls: the compiled call goes through the trampoline, which the kernel keeps right (include/linux/
/// static_call.h). Jump labels test their key, where the site has the room. Else only those of a tracepoint's key
/// (include/linux/tracepoint.h) can be done without, and only when the site is a NOP or becomes one, so that the code
/// without the entry is the code with the tracepoint off.
LateEntry late_entry(const TableEntry& entry, const Piece& function, const Pieces& patched,
                     const ReferencePolicy& policy);

/// The entry for the plan, with its treatment in words: `late`'s, not Treatment::carry.
PlanLateEntry planned(const LateEntry& late, const TableEntry& entry, const Piece& function, const Pieces& patched);

/// The warning about tracepoints that were switched off, one for a unit: which function calls them changes nothing for
/// the user.
Finding silent_tracepoints(const std::set<std::string>& names, const std::string& object, const std::string& unit);

/// Writes what the site of a static branch must hold instead of the compiled jump (Arch::branch_placeholder) into the
/// plan, where `symbol` is the function. objtool does so too where it runs at the link, but only for branches that keep
/// their entry.
void switch_off_branch(const TableEntry& entry, const Piece& function, const Pieces& patched, PatchObject& plan,
                       size_t symbol);

/// Byte ranges of a function, from its start, that the kernel rewrites while it loads the module.
std::vector<std::pair<uint64_t, uint64_t>> rewritten_ranges(const Piece& function, const Tables& tables,
                                                            const Pieces& patched);

}  // namespace klp::diff
