// The kernel's own objtool, run over a finished livepatch module.
#pragma once

#include <string>

#include "kernel/kernel.h"
#include "support/files.h"

namespace klp::test {

/// The flags that kbuild gave to objtool when it linked `module` in `work_directory` (.NAME.o.cmd); empty for a kernel
/// whose objtool looks at each unit, and not at the linked module.
std::string objtool_flags(const fs::path& work_directory, const std::string& module);

/// What objtool has to say about a finished module, with these flags; empty: nothing. The sections that it made at the
/// link are taken out before, as it makes them again. A replacement without ENDBR is no complaint: it is returned to.
/// The marks behind warnings (.discard.reachable) are gone with the link, so unreachable code is none of its subjects
/// here; at the link it was. `joined`: with the relocations that the livepatch core applies put back among the others,
/// as objtool knows one relocation section for a section.
std::string objtool_complaints(const kernel::Kernel& kernel, const std::string& flags, const fs::path& module,
                               bool joined = true);

}  // namespace klp::test
