// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers a patch module with the kernel's livepatch core (Linux 5.10 and later).
 *
 * The function table (klp_runtime.h) is flat: the entries of one kernel object may be spread over several patch objects.
 * The core wants one klp_object for each kernel object, each with an array of klp_func, all ended by an empty element.
 * Both are built at load time with the kernel's own types, so klp-diff knows none of their layouts.
 *
 * The core keeps using the arrays until the patch is disabled or replaced. It holds a reference to this module that long
 * and waits for its kobjects before it drops it, so the exit function may free them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "klp_runtime.h"

static struct klp_patch klp_diff_patch;
static struct klp_object *klp_diff_objects;
static struct klp_func *klp_diff_funcs;

static bool __init same_object(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

/* True for the first entry of its object: there the object is made, and all its functions are collected. */
static bool __init is_first_of_object(const struct klp_diff_func *entry)
{
	const struct klp_diff_func *earlier;

	for (earlier = klp_diff_funcs_begin; earlier < entry; earlier++)
		if (same_object(earlier->object, entry->object))
			return false;
	return true;
}

/* Fills the functions of one object from @funcs on; returns where the next object's begin, after an empty element. */
static struct klp_func *__init collect_functions(const char *object, struct klp_func *funcs)
{
	const struct klp_diff_func *entry;

	for (entry = klp_diff_funcs_begin; entry < klp_diff_funcs_end; entry++) {
		if (!same_object(entry->object, object))
			continue;
		funcs->old_name = entry->old_name;
		funcs->new_func = entry->new_func;
		funcs->old_sympos = entry->sympos;
		funcs++;
	}
	return funcs + 1;
}

static void free_arrays(void)
{
	kfree(klp_diff_funcs);
	kfree(klp_diff_objects);
	klp_diff_funcs = NULL;
	klp_diff_objects = NULL;
}

static int __init make_arrays(void)
{
	const struct klp_diff_func *entry;
	struct klp_object *object;
	struct klp_func *funcs;
	size_t n_objects = 0, n_funcs = 0;

	for (entry = klp_diff_funcs_begin; entry < klp_diff_funcs_end; entry++) {
		n_objects += is_first_of_object(entry);
		n_funcs++;
	}
	if (n_funcs == 0) {
		pr_err("the function table is empty\n");
		return -EINVAL;
	}

	klp_diff_objects = kcalloc(n_objects + 1, sizeof(*klp_diff_objects), GFP_KERNEL);
	klp_diff_funcs = kcalloc(n_funcs + n_objects, sizeof(*klp_diff_funcs), GFP_KERNEL);
	if (!klp_diff_objects || !klp_diff_funcs)
		return -ENOMEM;

	object = klp_diff_objects;
	funcs = klp_diff_funcs;
	for (entry = klp_diff_funcs_begin; entry < klp_diff_funcs_end; entry++) {
		if (!is_first_of_object(entry))
			continue;
		object->name = entry->object;
		object->funcs = funcs;
		funcs = collect_functions(entry->object, funcs);
		object++;
	}
	return 0;
}

static int __init klp_diff_init(void)
{
	int err = make_arrays();

	if (!err) {
		klp_diff_patch.mod = THIS_MODULE;
		klp_diff_patch.objs = klp_diff_objects;
		klp_diff_patch.replace = klp_diff_replace;
		err = klp_enable_patch(&klp_diff_patch);
	}
	/* A patch that could not be enabled is let go by the core before it returns. */
	if (err)
		free_arrays();
	return err;
}

static void __exit klp_diff_exit(void)
{
	free_arrays();
}

module_init(klp_diff_init);
module_exit(klp_diff_exit);
MODULE_DESCRIPTION("livepatch made by klp-diff");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
