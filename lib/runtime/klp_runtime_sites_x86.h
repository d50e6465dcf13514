/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * klp_runtime_sites.c for x86_64, where a place must be zero to be filled (arch/x86/kernel/module.c: apply_relocate_add).
 *
 * A place may be text, read-only or data; text_poke (arch/x86/kernel/alternative.c), with which the core fills them, writes
 * all of these. It is not exported, so it is called through a klp relocation, as is what belongs to it. The processors
 * need not be told (text_poke_sync): before any runs this code again, the core has filled it in, and tells them.
 */
KLP_REFERENCE("klp_diff_text_poke", "text_poke");
KLP_REFERENCE("klp_diff_text_mutex", "text_mutex");
extern void *klp_diff_text_poke(void *place, const void *from, size_t size);
extern struct mutex klp_diff_text_mutex;

static void note_sites(void)
{
}

/* What the core writes for a type of relocation. */
static size_t written_size(const Elf_Rela *relocation)
{
	switch (ELF64_R_TYPE(relocation->r_info)) {
	case R_X86_64_64:
	case R_X86_64_PC64:
		return 8;
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_32:
	case R_X86_64_32S:
		return 4;
	default: /* R_X86_64_NONE; the core refuses others */
		return 0;
	}
}

void noinline klp_diff_clear_sites(const char *object)
{
	static const u8 zeros[8];
	const Elf_Rela *relocation;
	unsigned int i;

	mutex_lock(&klp_diff_text_mutex);
	for_each_section(i, object) {
		for_each_relocation(relocation, i) {
			const size_t size = written_size(relocation);

			if (size)
				klp_diff_text_poke(place_of(i, relocation), zeros, size);
		}
	}
	mutex_unlock(&klp_diff_text_mutex);
}
