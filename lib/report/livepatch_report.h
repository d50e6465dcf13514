// The content of a livepatch module (`klp-diff inspect`) as text and as JSON.
#pragma once

#include <string>

#include "elf/livepatch_content.h"

namespace klp::report {

/// Stable, readable text: the module, what it replaces, what it carries, what it needs from the kernel, faults.
/// `all_sites` lists every klp relocation, else those of one section and symbol are one line.
std::string livepatch_text(const elf::LivepatchContent& content, bool color, bool all_sites);

/// One JSON document, schema klp-diff/1, command "inspect", every klp relocation in it.
std::string livepatch_json(const elf::LivepatchContent& content, const std::string& version);

}  // namespace klp::report
