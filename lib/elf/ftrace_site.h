// Which ftrace site a running kernel finds for a function that is to be redirected.
#pragma once

#include "elf/elf_object.h"

namespace klp::elf {

enum class FtraceSite {
  unknown,  ///< the shipped binary has no table of sites
  none,
  own,
  ambiguous  ///< sites of code without a symbol, which stands behind the function, are found as well
};

/// What the kernel finds for `function`, a defined symbol of `shipped`: vmlinux, linked, or a module, read with the
/// relocations of its allocated sections.
///
/// The livepatch core looks for a site at the function's address, then, where the sites are further in (an ENDBR, a
/// local entry point), for any one in the function's size, which for kallsyms ends at the next symbol
/// (kernel/trace/ftrace.c: ftrace_location, 5.18-6.14; 5.10 asks for the address only on x86 and for the first 16 bytes
/// on POWER). A weak function that another definition overrides leaves its code behind without a symbol, so with a site
/// in the size of the function before it. Of several sites a binary search finds any; when it is not the function's
/// own, the livepatch is enabled without a word and does nothing. Kernels whose table names no sites of overridden
/// functions (scripts/sorttable.c, 6.15 and late 6.12) have none of this.
FtraceSite ftrace_site(const ElfObject& shipped, const Symbol& function);

}  // namespace klp::elf
