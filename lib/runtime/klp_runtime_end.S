/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of the function table (klp_runtime.h): no bytes, only a symbol. Linked last, after all patch objects. */
	.section .klp_diff.funcs, "aw", %progbits
	.balign 8
	.globl klp_diff_funcs_end
	.type klp_diff_funcs_end, %object
	.size klp_diff_funcs_end, 0
klp_diff_funcs_end:

	.section .note.GNU-stack, "", %progbits
