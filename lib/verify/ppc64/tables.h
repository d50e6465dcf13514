// The tables of ppc64's modules (arch/powerpc/kernel/module.c: module_finalize; lib/feature-fixups.c; trace/ftrace.c;
// jump_label.c; Linux 6.1).
#pragma once

#include "verify/load_state.h"

namespace klp::verify::ppc64 {

/// Marks what the kernel may replace. `stubs`: the section of the module's stubs. Unpredictable: a site that it would
/// not find as it expects.
void process_tables(LoadState& state, StateSection& stubs);
/// Whether a section is such a table.
bool is_read_at_load(std::string_view section);

}  // namespace klp::verify::ppc64
