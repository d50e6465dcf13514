/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * klp_runtime_sites.c for ppc64le (arch/powerpc/kernel/module_64.c: apply_relocate_add, restore_r2, stub_for_addr).
 *
 * Data is written over by the core, whatever it holds. A call of a function outside is led through a stub in our .stubs
 * section: the core looks for one that leads to the function, takes the first free one when there is none, and writes
 * `ld r2,24(r1)` over the NOP behind the call. Then it wants
 *  - a NOP behind the call again (kernels before 6.7), which is put there;
 *  - a free stub, as the module's functions are at other addresses when it comes back. There are as many as different
 *    calls in the file, so a stub that no call goes to any more is made free: the address that it leads to is zeroed.
 *
 * Stubs that were in use when this module had been loaded stay: ordinary calls go to them.
 */
#include <asm/code-patching.h>

KLP_REFERENCE("klp_diff_patch_instruction", "patch_instruction");
typedef typeof(ppc_inst(0)) klp_diff_instruction; /* struct ppc_inst before 5.17 */
extern int klp_diff_patch_instruction(const u32 *place, klp_diff_instruction instruction);

#define KLP_DIFF_NOP		0x60000000u
#define KLP_DIFF_RESTORE_R2	0xe8410018u /* ld r2,24(r1) */
#define KLP_DIFF_DISTANCE	0x03fffffcu /* of b and bl */

/* Same as arch/powerpc/kernel/module_64.c: struct ppc64_stub_entry, whose code loads the target from byte 32. */
struct klp_diff_stub {
	u32 code[8];
	u32 target[2]; /* 0: the stub is free, and those behind it are not looked at */
};
static const struct klp_diff_stub *klp_diff_late_stubs;

static const Elf_Shdr *stubs_section(void)
{
	return &THIS_MODULE->klp_info->sechdrs[THIS_MODULE->arch.stubs_section];
}

static bool is_free(const struct klp_diff_stub *stub)
{
	return !stub->target[0] && !stub->target[1];
}

static void note_sites(void)
{
	klp_diff_late_stubs = (void *)stubs_section()->sh_addr;
	while (!is_free(klp_diff_late_stubs)) /* the last one always is */
		klp_diff_late_stubs++;
}

/* The stub that a filled branch goes to, NULL when it is none that may become free. */
static const struct klp_diff_stub *late_stub(const u32 *branch)
{
	const unsigned long end = stubs_section()->sh_addr + stubs_section()->sh_size;
	const unsigned long stub = (unsigned long)branch + ((s32)((*branch & KLP_DIFF_DISTANCE) << 6) >> 6);

	return stub >= (unsigned long)klp_diff_late_stubs && stub < end ? (void *)stub : NULL;
}

static bool is_used(const struct klp_diff_stub *stub)
{
	const Elf_Rela *relocation;
	unsigned int i;

	for_each_section(i, NULL)
		for_each_relocation(relocation, i)
			if (ELF64_R_TYPE(relocation->r_info) == R_PPC64_REL24 &&
			    late_stub(place_of(i, relocation)) == stub)
				return true;
	return false;
}

static void warn_unless_written(int err)
{
	WARN_ONCE(err, "a reference into a patched module could not be cleared\n");
}

void noinline klp_diff_clear_sites(const char *object)
{
	const Elf_Rela *relocation;
	unsigned int i;

	for_each_section(i, object) {
		for_each_relocation(relocation, i) {
			u32 *branch = place_of(i, relocation);
			const struct klp_diff_stub *stub = late_stub(branch);

			if (ELF64_R_TYPE(relocation->r_info) != R_PPC64_REL24 || !(*branch & KLP_DIFF_DISTANCE))
				continue;
			warn_unless_written(
				klp_diff_patch_instruction(branch, ppc_inst(*branch & ~KLP_DIFF_DISTANCE)));
			if (branch[1] == KLP_DIFF_RESTORE_R2)
				warn_unless_written(klp_diff_patch_instruction(branch + 1, ppc_inst(KLP_DIFF_NOP)));
			if (!stub || is_used(stub))
				continue;
			warn_unless_written(klp_diff_patch_instruction(&stub->target[0], ppc_inst(0)));
			warn_unless_written(klp_diff_patch_instruction(&stub->target[1], ppc_inst(0)));
		}
	}
}
