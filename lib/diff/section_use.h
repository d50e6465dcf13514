// What the kernel does with a section, by its name: the sections that are neither code, nor plain data, nor one of the
// architecture's tables.
#pragma once

#include <string>
#include <string_view>

#include "diff/pieces.h"

namespace klp::diff {

/// Data, or something whose loss from a livepatch is known to do no harm (exports, start-up calls, notes). Any other
/// allocated section may be a kernel table of which nothing must be lost.
bool is_known_section(std::string_view name);

/// EXPORT_SYMBOL's entries (include/linux/export.h, 5.10-6.12).
bool is_export_section(std::string_view name);

/// Tables that the kernel reads only while it, or a module, starts: a new entry would be lost.
bool is_read_at_start(std::string_view name);

/// Boot-time code and data, and code that only unloading runs.
bool is_init_section(std::string_view name);
bool is_exit_section(std::string_view name);

/// The name of the section that a piece has in a patch object. Functions of shared sections (.ref.text, .sched.text)
/// get one of their own; what the shared section stood for does not hold in a module.
std::string own_section_name(const Piece& piece);

}  // namespace klp::diff
