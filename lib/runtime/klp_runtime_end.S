/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of each table (klp_runtime.h): no bytes, only symbols. Linked last, after all patch objects. */
	.macro table name
	.section .klp_diff.\name, "aw", %progbits
	.balign 8
	.globl klp_diff_\name\()_end
	.type klp_diff_\name\()_end, %object
	.size klp_diff_\name\()_end, 0
klp_diff_\name\()_end:
	.endm

	table funcs
	table callbacks
	table states
	table constants

	.section .note.GNU-stack, "", %progbits
