/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between a patch module's parts.
 *
 * Each patch object that klp-diff writes has a section ".klp_diff.funcs" (flags WA, aligned 8) holding entries of
 * struct klp_diff_func, whose pointers are filled by R_*_64 relocations. klp_runtime_begin.o is linked first and
 * klp_runtime_end.o last, so their symbols enclose the entries of all patch objects. klp_runtime.o reads the table when
 * the module is loaded and registers it with the kernel's livepatch core.
 *
 * klp_diff_replace is defined once, by a small object that is made for each module.
 */
#ifndef KLP_RUNTIME_H
#define KLP_RUNTIME_H

/* One function to redirect: 32 bytes, no padding. */
struct klp_diff_func {
	const char *object;	/* the module that has the function; NULL: vmlinux */
	const char *old_name;	/* its name in kallsyms */
	void *new_func;		/* the function that takes its place */
	unsigned long sympos;	/* which of the symbols of that name, from 1; 0: there is only one */
};

#define KLP_DIFF_FUNCS_SECTION	".klp_diff.funcs"

extern const struct klp_diff_func klp_diff_funcs_begin[];
extern const struct klp_diff_func klp_diff_funcs_end[];

/* 1: this module takes the place of all that were loaded before it (atomic replace). */
extern const unsigned char klp_diff_replace;

#endif
