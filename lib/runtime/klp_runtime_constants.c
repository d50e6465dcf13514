// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes run-time constants into the text of a patch module (arch/x86/include/asm/runtime-const.h, Linux 6.11 and later).
 *
 * The kernel does this for its own text while it boots and nothing else may run. The module loader does not do it for a
 * module. Until our init runs, the module's text has become read-only (kernel/module/main.c: complete_formation), so the
 * text is written through another mapping, by text_poke_copy (arch/x86/kernel/alternative.c). Nothing of it has been
 * executed by then, as no function is replaced yet; the BPF JIT does the same with new programs.
 *
 * text_poke_copy is not exported, so it is called through a klp relocation, and directly: a kernel with IBT may have
 * taken the ENDBR from the start of a function whose address nobody takes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/types.h>

#include "klp_runtime.h"

/* The name in which a klp reference travels through the link (lib/elf/klp_abi.h); weak, as for all of them. */
extern void *write_text(void *to, const void *from, size_t size)
	asm("\".klp.ref.vmlinux.vmlinux.text_poke_copy,0\"") __weak;

static bool read_variable(const struct klp_diff_constant *constant, u64 *value)
{
	switch (constant->variable_size) {
	case 1:
		*value = *(const u8 *)constant->variable;
		return true;
	case 2:
		*value = *(const u16 *)constant->variable;
		return true;
	case 4:
		*value = *(const u32 *)constant->variable;
		return true;
	case 8:
		*value = *(const u64 *)constant->variable;
		return true;
	}
	return false;
}

/* The bytes that the text shall have; the first ones of @value in the order of x86, the only architecture that has these. */
static int check_value(const struct klp_diff_constant *constant, u64 value)
{
	if (constant->size == sizeof(u64))
		return 0;
	if (constant->size != sizeof(u8))
		return -EINVAL;
	return value > U8_MAX ? -ERANGE : 0;
}

/* All klp references of lib/runtime are in this function, where klp-diff looks for them. */
int klp_diff_write_constants(void)
{
	const struct klp_diff_constant *constant;
	u64 value;
	int err = 0;

	for (constant = klp_diff_constants_begin; constant < klp_diff_constants_end && !err; constant++) {
		err = read_variable(constant, &value) ? check_value(constant, value) : -EINVAL;
		if (!err && !write_text(constant->place, &value, constant->size))
			err = -EFAULT;
		if (err)
			pr_err("cannot fill in the run-time constant at %pS: %d\n", constant->place, err);
	}
	return err;
}
