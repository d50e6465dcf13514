/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The begin of the function table (klp_runtime.h): no bytes, only a symbol. Linked first, before all patch objects. */
	.section .klp_diff.funcs, "aw", %progbits
	.balign 8
	.globl klp_diff_funcs_begin
	.type klp_diff_funcs_begin, %object
	.size klp_diff_funcs_begin, 0
klp_diff_funcs_begin:

	.section .note.GNU-stack, "", %progbits
