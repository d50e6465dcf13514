// The tables of x86_64's modules.
#pragma once

#include "verify/load_state.h"

namespace klp::verify::x86_64 {

/// Marks what the kernel replaces. Unpredictable: a site that it would not find as it expects.
void process_tables(LoadState& state);
/// Whether a section is such a table.
bool is_read_at_load(std::string_view section);

}  // namespace klp::verify::x86_64
