// The last step of making a livepatch module: references that only the livepatch core can resolve leave the ordinary
// relocation sections.
#pragma once

#include <filesystem>

#include "elf/elf_object.h"
#include "elf/object_builder.h"

namespace klp::elf {

/// Makes the final module from the NAME.ko that kbuild linked. Each relocation against an undefined symbol with a
/// travel name (klp_abi.h) moves to `.klp.rela.OBJECT.SECTION` of its section; OBJECT is the patched object, but
/// vmlinux for symbols of vmlinux, which the core refuses elsewhere (kernel/livepatch/core.c: klp_resolve_symbols).
/// Travel symbols become `.klp.sym.OBJECT.name,POS` with SHN_LIVEPATCH, one for each final name. `.debug_*` sections
/// and .ibt_endbr_seal are dropped, as are entries of .call_sites for calls whose target comes later; all else stays as
/// it was linked.
///
/// Guarantees: no travel name is left; no module has more sections or longer names than the kernel takes; on x86_64
/// each relocation of an allocated section has a type that the module loader applies and zero bytes at its site, no two
/// at the same bytes. What violates this is an Error naming section, offset and symbol, and the module is not written.
/// Needs: `livepatch=` in .modinfo, and the module not signed yet.
ObjectBuilder finalized(const ElfObject& linked);

/// finalized() from file to file; `out` is written atomically and may be `linked_ko`.
void finalize_klp(const std::filesystem::path& linked_ko, const std::filesystem::path& out);

}  // namespace klp::elf
