/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The begin of each table (klp_runtime.h): no bytes, only symbols. Linked first, before all patch objects. */
	.macro table name
	.section .klp_diff.\name, "aw", %progbits
	.balign 8
	.globl klp_diff_\name\()_begin
	.type klp_diff_\name\()_begin, %object
	.size klp_diff_\name\()_begin, 0
klp_diff_\name\()_begin:
	.endm

	table funcs
	table callbacks
	table states
	table constants

	.section .note.GNU-stack, "", %progbits
