// Who is called while the kernel or a module starts (.initcall6.init, .con_initcall.init;
// include/linux/init.h, 5.10-6.12).
#pragma once

#include <set>
#include <string>

#include "diff/pieces.h"

namespace klp::diff {

/// The names of the functions that sections of start-up calls refer to. The names of the entries themselves hold
/// counters and line numbers and say nothing.
std::set<std::string> start_calls(const Pieces& pieces);

}  // namespace klp::diff
