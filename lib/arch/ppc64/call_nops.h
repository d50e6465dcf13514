// Calls in the compiler's assembly that a module cannot hold as they are.
//
// A call that leaves a module goes through a stub, and the module loader puts the instruction that restores r2 in the
// place of a NOP behind the call (arch/powerpc/kernel/module_64.c: restore_r2). gcc writes that NOP only behind calls
// of functions that it does not know; those of the same file become calls into the kernel when they stay there.
#pragma once

#include <string>
#include <string_view>

namespace klp::arch {

/// gcc's assembly with a NOP behind every `bl` to a function that has none. Inline assembly, ftrace's own call and
/// everything else stay as they are, to the byte; so does text that gcc did not write (no .ident of it).
std::string with_call_nops(std::string_view assembly);

}  // namespace klp::arch
