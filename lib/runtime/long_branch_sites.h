/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included behind the kernel's configuration into both versions of a module's unit: all its static branches are compiled
 * with sites of five bytes, in which a jump to a test of the key has room (lib/diff/key_tests.h). In the kernels' own
 * arch/x86/include/asm/jump_label.h, since 5.14, the assembler chooses two or five. Where it does not, and on other
 * architectures, this changes nothing.
 *
 * Each statement has as many lines as the kernel's: the compiler takes lines for the size of the code, and inlines by it.
 */
#if defined(CONFIG_X86_64) && defined(CONFIG_JUMP_LABEL) && !defined(__ASSEMBLY__)
#undef CONFIG_HAVE_JUMP_LABEL_HACK

struct static_key;
struct jump_entry;
#define arch_static_branch_jump klp_diff_short_static_branch_jump
#include <asm/jump_label.h>
#undef arch_static_branch_jump

#ifdef JUMP_TABLE_ENTRY
static __always_inline bool arch_static_branch_jump(struct static_key *const key, const bool branch)
{
	asm goto("1:"
		 "%{disp32%} jmp %l[l_yes]\n\t" JUMP_TABLE_ENTRY
		 :
		 : "i"(key), "i"(branch)
		 :
		 : l_yes);

	return false;
l_yes:
	return true;
}
#else
#define arch_static_branch_jump klp_diff_short_static_branch_jump
#endif
#endif
