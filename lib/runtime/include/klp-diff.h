/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a patch can say to the livepatch that is made of it: #include "klp-diff.h" in a .c file of the patch.
 *
 * Callbacks are functions of the patch that the kernel's livepatch core calls while this object (vmlinux, or the module
 * that the file belongs to) is patched and unpatched. At most one of each kind for one object; each in sleeping context:
 *
 *   KLP_PRE_PATCH_CALLBACK(f)     int f(struct klp_object *): before the object's functions are replaced. Anything but 0
 *                                 keeps the livepatch from being loaded (or the module, when it comes later).
 *   KLP_POST_PATCH_CALLBACK(f)    void f(struct klp_object *): when the transition is complete.
 *   KLP_PRE_UNPATCH_CALLBACK(f)   void f(struct klp_object *): when the livepatch is being disabled.
 *   KLP_POST_UNPATCH_CALLBACK(f)  void f(struct klp_object *): when no task runs the new functions any more.
 *
 * A livepatch that is replaced by a later one gets neither of the last two: what it has set up stays, and a state says so:
 *
 *   KLP_DIFF_STATE(id, version)   this livepatch changes the system in the way that the author calls `id`. The kernel
 *                                 refuses to replace it by one that does not know the id, or only an older version.
 *   klp_diff_state(id)            this livepatch's state, whose member `data` is the author's; NULL: not declared
 *   klp_diff_prev_state(id)       in a callback of a livepatch that takes another's place: the other one's state
 */
#ifndef KLP_DIFF_H
#define KLP_DIFF_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/livepatch.h>
#include <linux/livepatch_external.h>

/* The author's marks are sections that klp-diff reads and leaves behind; kpatch names them so. */
#define KLP_DIFF_CALLBACK(kind, f)                                                               \
	static klp_##kind##_t klp_diff_##kind##_callback __used                                  \
		__attribute__((__section__(".kpatch.callbacks." #kind))) = (f)

#define KLP_PRE_PATCH_CALLBACK(f)	KLP_DIFF_CALLBACK(pre_patch, f)
#define KLP_POST_PATCH_CALLBACK(f)	KLP_DIFF_CALLBACK(post_patch, f)
#define KLP_PRE_UNPATCH_CALLBACK(f)	KLP_DIFF_CALLBACK(pre_unpatch, f)
#define KLP_POST_UNPATCH_CALLBACK(f)	KLP_DIFF_CALLBACK(post_unpatch, f)

/* 16 bytes, read by klp-diff (lib/elf/klp_abi.h). */
struct klp_diff_state_mark {
	unsigned long long id;
	unsigned long long version;
};

/* An id of 0 would end the kernel's list, and versions are unsigned int there. */
#define KLP_DIFF_STATE(id, version)                                                              \
	static const struct klp_diff_state_mark __UNIQUE_ID(klp_diff_state) __used               \
		__attribute__((__section__(".klp_diff.states"))) = {                             \
			(id) + BUILD_BUG_ON_ZERO((id) == 0),                                     \
			(version) + BUILD_BUG_ON_ZERO((version) > 0xffffffffUL) }

/* The livepatch that this code becomes a part of. */
extern struct klp_patch klp_diff_patch;

static inline struct klp_state *klp_diff_state(unsigned long id)
{
	return klp_get_state(&klp_diff_patch, id);
}

static inline struct klp_state *klp_diff_prev_state(unsigned long id)
{
	return klp_get_prev_state(id);
}

#endif
