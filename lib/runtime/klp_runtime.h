/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract between a patch module's parts.
 *
 * Each patch object that klp-diff writes has sections (flags WA, aligned 8) of entries as below, whose pointers are filled
 * by R_*_64 relocations. klp_runtime_begin.o is linked first and klp_runtime_end.o last, so their symbols enclose the
 * entries of all patch objects. klp_runtime.o reads the tables when the module is loaded and registers them with the
 * kernel's livepatch core.
 *
 * klp_diff_replace, klp_diff_clear_when_gone and klp_diff_pinned are defined once, by a small object that is made for each
 * module. klp_diff_patch is for patch authors (include/klp-diff.h).
 */
#ifndef KLP_RUNTIME_H
#define KLP_RUNTIME_H

/* One function to redirect, section ".klp_diff.funcs": 32 bytes, no padding. */
struct klp_diff_func {
	const char *object;	/* the module that has the function; NULL: vmlinux */
	const char *old_name;	/* its name in kallsyms */
	void *new_func;		/* the function that takes its place */
	unsigned long sympos;	/* which of the symbols of that name, from 1; 0: there is only one */
};

enum klp_diff_callback_kind {
	KLP_DIFF_PRE_PATCH = 0,
	KLP_DIFF_POST_PATCH = 1,
	KLP_DIFF_PRE_UNPATCH = 2,
	KLP_DIFF_POST_UNPATCH = 3,
};

/* One callback, section ".klp_diff.callbacks": 24 bytes. An object has at most one of each kind. */
struct klp_diff_callback {
	const char *object;	/* as above */
	void *function;
	unsigned long kind;	/* enum klp_diff_callback_kind */
};

/* One system state, section ".klp_diff.states": 16 bytes. The same one may be there several times. */
struct klp_diff_state {
	unsigned long id;	/* not 0 */
	unsigned long version;	/* fits unsigned int */
};

/* One run-time constant in the code of a patch object, section ".klp_diff.constants": 32 bytes. */
struct klp_diff_constant {
	void *place;			/* in the module's text */
	const void *variable;		/* of the running kernel */
	unsigned long size;		/* bytes to write: 1 or 8 */
	unsigned long variable_size;	/* bytes to read: 1, 2, 4 or 8 */
};

extern const struct klp_diff_func klp_diff_funcs_begin[], klp_diff_funcs_end[];
extern const struct klp_diff_callback klp_diff_callbacks_begin[], klp_diff_callbacks_end[];
extern const struct klp_diff_state klp_diff_states_begin[], klp_diff_states_end[];

extern const struct klp_diff_constant klp_diff_constants_begin[], klp_diff_constants_end[];

/*
 * Writes the constants into the module's text: 0, or a negative error. To be called before anything of the patch objects
 * may run. klp_runtime_constants.o, which defines it, is linked only where a patch object has constants.
 */
int klp_diff_write_constants(void);

struct klp_object;

/*
 * Takes the pre_patch and post_unpatch callbacks of all modules' objects, the array of which ends with an empty element,
 * calls the author's from there, and clears what the livepatch core has written into this module for an object whose
 * module is not going to live: 0, or -ENOMEM. To be undone when the objects are gone. klp_runtime_sites.o, which defines
 * these, is linked where the livepatch refers to patched modules and the kernel may leave such references.
 */
int klp_diff_wrap_callbacks(struct klp_object *objects);
void klp_diff_unwrap_callbacks(void);
/* The part of it with klp references: clears them all, for that module. */
void klp_diff_clear_sites(const char *object);

extern struct klp_patch klp_diff_patch;

/* 1: this module takes the place of all that were loaded before it (atomic replace). */
extern const unsigned char klp_diff_replace;

/* 1: the kernel leaves what it has written into this module for a patched module that goes. */
extern const unsigned char klp_diff_clear_when_gone;

/* 1: the patch stores addresses of this module in objects of the kernel, so the module must never be unloaded. */
extern const unsigned char klp_diff_pinned;

#endif
