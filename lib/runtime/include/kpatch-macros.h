/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The macros of kpatch's header of this name, for patches written for kpatch-build.
 */
#ifndef KLP_DIFF_KPATCH_MACROS_H
#define KLP_DIFF_KPATCH_MACROS_H

#include <linux/compiler.h>
#include <linux/printk.h>
#include <linux/static_call.h>

#include "klp-diff.h"

typedef struct klp_object patch_object;

#define KPATCH_PRE_PATCH_CALLBACK(f)	KLP_PRE_PATCH_CALLBACK(f)
#define KPATCH_POST_PATCH_CALLBACK(f)	KLP_POST_PATCH_CALLBACK(f)
#define KPATCH_PRE_UNPATCH_CALLBACK(f)	KLP_PRE_UNPATCH_CALLBACK(f)
#define KPATCH_POST_UNPATCH_CALLBACK(f)	KLP_POST_UNPATCH_CALLBACK(f)

#define KLP_DIFF_MARK(section, type, value)                                                      \
	static type __UNIQUE_ID(klp_diff_mark) __used __attribute__((__section__(section))) = (value)

/* What changed in this function, or in this section, is left out of the livepatch; the report says so. */
#define KPATCH_IGNORE_FUNCTION(f)	KLP_DIFF_MARK(".kpatch.ignore.functions", void *, f)
#define KPATCH_IGNORE_SECTION(name)	KLP_DIFF_MARK(".kpatch.ignore.sections", char *, name)

/* The livepatch core always waits until no task is in a function: without effect, and the report says so. */
#define KPATCH_FORCE_UNSAFE(f)		KLP_DIFF_MARK(".kpatch.force", void *, f)

/* Prints without an entry in the kernel's table of messages. */
#ifdef printk
#define KPATCH_PRINTK(fmt, ...)		_printk(fmt, ##__VA_ARGS__)
#else
#define KPATCH_PRINTK(fmt, ...)		printk(fmt, ##__VA_ARGS__)
#endif

/* A static call on a module's key cannot be patched into new code: read the key's present function and call that. */
#define KPATCH_STATIC_CALL(name) ((typeof(STATIC_CALL_TRAMP(name)) *)READ_ONCE(STATIC_CALL_KEY(name).func))

#endif
