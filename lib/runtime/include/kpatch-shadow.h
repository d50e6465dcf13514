/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kpatch's shadow variables, which are named by a string, on top of the kernel's, which are named by a number. The
 * functions klp_shadow_*() of the kernel are here as well.
 */
#ifndef KLP_DIFF_KPATCH_SHADOW_H
#define KLP_DIFF_KPATCH_SHADOW_H

#include <linux/livepatch.h>
#include <linux/types.h>

#include "kpatch-macros.h"

/* FNV-1a, 64 bits: the same name is the same number in every livepatch. */
static inline unsigned long klp_diff_shadow_id(const char *name)
{
	unsigned long id = 0xcbf29ce484222325UL;

	while (*name)
		id = (id ^ (unsigned char)*name++) * 0x100000001b3UL;
	return id;
}

/* New memory tied to `obj`; NULL: there is one already, or no memory. */
static inline void *kpatch_shadow_alloc(void *obj, const char *name, size_t size, gfp_t gfp)
{
	return klp_shadow_alloc(obj, klp_diff_shadow_id(name), size, gfp, NULL, NULL);
}

/* NULL: `obj` has none. */
static inline void *kpatch_shadow_get(void *obj, const char *name)
{
	return klp_shadow_get(obj, klp_diff_shadow_id(name));
}

static inline void kpatch_shadow_free(void *obj, const char *name)
{
	klp_shadow_free(obj, klp_diff_shadow_id(name), NULL);
}

#endif
