// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers a patch module with the kernel's livepatch core (Linux 5.10 and later).
 *
 * The tables (klp_runtime.h) are flat: the entries of one kernel object may be spread over several patch objects.
 * The core wants one klp_object for each kernel object, each with its callbacks and an array of klp_func, also when it has
 * callbacks only, and an array of klp_state; each array ended by an empty element. They are built at load time with the
 * kernel's own types, so klp-diff knows none of their layouts.
 *
 * The core keeps using the arrays until the patch is disabled or replaced. It holds a reference to this module that long
 * and waits for its kobjects before it drops it, so the exit function may free them. A patch that a later one replaces
 * has none of its callbacks run; the exit function runs then as well, so whatever the runtime itself sets up is undone there.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "klp_runtime.h"

struct klp_patch klp_diff_patch;
static struct klp_object *klp_diff_objects;
static struct klp_func *klp_diff_funcs;
static struct klp_state *klp_diff_states;

#define for_each_entry(entry, table) for (entry = klp_diff_##table##_begin; entry < klp_diff_##table##_end; entry++)

static bool __init same_object(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

/* Adds an object to the first @count ones when it is not among them; returns how many there are then. */
static size_t __init add_object(const char *name, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (same_object(klp_diff_objects[i].name, name))
			return count;
	klp_diff_objects[count].name = name;
	return count + 1;
}

/* Fills one object's functions from @funcs on; returns where the next object's begin, after an empty element. */
static struct klp_func *__init collect_functions(struct klp_object *object, struct klp_func *funcs)
{
	const struct klp_diff_func *entry;

	object->funcs = funcs;
	for_each_entry(entry, funcs) {
		if (!same_object(entry->object, object->name))
			continue;
		funcs->old_name = entry->old_name;
		funcs->new_func = entry->new_func;
		funcs->old_sympos = entry->sympos;
		funcs++;
	}
	return funcs + 1;
}

static int __init set_callback(struct klp_callbacks *callbacks, const struct klp_diff_callback *entry)
{
	switch (entry->kind) {
	case KLP_DIFF_PRE_PATCH:
		callbacks->pre_patch = entry->function;
		return 0;
	case KLP_DIFF_POST_PATCH:
		callbacks->post_patch = entry->function;
		return 0;
	case KLP_DIFF_PRE_UNPATCH:
		callbacks->pre_unpatch = entry->function;
		return 0;
	case KLP_DIFF_POST_UNPATCH:
		callbacks->post_unpatch = entry->function;
		return 0;
	}
	pr_err("unknown kind of callback: %lu\n", entry->kind);
	return -EINVAL;
}

static int __init collect_callbacks(struct klp_object *object)
{
	const struct klp_diff_callback *entry;
	int err = 0;

	for_each_entry(entry, callbacks)
		if (!err && same_object(entry->object, object->name))
			err = set_callback(&object->callbacks, entry);
	return err;
}

/* Each id once: an object file that is linked into several modules brings its states with each of them. */
static void __init collect_states(void)
{
	const struct klp_diff_state *entry;
	struct klp_state *state;

	for_each_entry(entry, states) {
		for (state = klp_diff_states; state->id && state->id != entry->id; state++)
			;
		state->id = entry->id;
		state->version = entry->version;
	}
}

/* There only in modules that klp_runtime_sites.o is linked into. */
extern int klp_diff_wrap_callbacks(struct klp_object *objects) __weak;
extern void klp_diff_unwrap_callbacks(void) __weak;

static void free_arrays(void)
{
	if (klp_diff_unwrap_callbacks)
		klp_diff_unwrap_callbacks();
	kfree(klp_diff_states);
	kfree(klp_diff_funcs);
	kfree(klp_diff_objects);
	klp_diff_states = NULL;
	klp_diff_funcs = NULL;
	klp_diff_objects = NULL;
}

static int __init make_arrays(void)
{
	const size_t n_funcs = klp_diff_funcs_end - klp_diff_funcs_begin;
	const size_t n_callbacks = klp_diff_callbacks_end - klp_diff_callbacks_begin;
	const size_t n_states = klp_diff_states_end - klp_diff_states_begin;
	const struct klp_diff_func *func;
	const struct klp_diff_callback *callback;
	struct klp_func *funcs;
	size_t n_objects = 0, i;
	int err = 0;

	if (n_funcs + n_callbacks + n_states == 0) {
		pr_err("the tables are empty\n");
		return -EINVAL;
	}

	/* An object for each entry would be the most; each array ends with an empty element. */
	klp_diff_objects = kcalloc(n_funcs + n_callbacks + 1, sizeof(*klp_diff_objects), GFP_KERNEL);
	klp_diff_funcs = kcalloc(2 * n_funcs + n_callbacks + 1, sizeof(*klp_diff_funcs), GFP_KERNEL);
	klp_diff_states = kcalloc(n_states + 1, sizeof(*klp_diff_states), GFP_KERNEL);
	if (!klp_diff_objects || !klp_diff_funcs || !klp_diff_states)
		return -ENOMEM;

	for_each_entry(func, funcs)
		n_objects = add_object(func->object, n_objects);
	for_each_entry(callback, callbacks)
		n_objects = add_object(callback->object, n_objects);
	funcs = klp_diff_funcs;
	for (i = 0; i < n_objects && !err; i++) {
		funcs = collect_functions(&klp_diff_objects[i], funcs);
		err = collect_callbacks(&klp_diff_objects[i]);
	}
	collect_states();
	if (!err && klp_diff_wrap_callbacks)
		err = klp_diff_wrap_callbacks(klp_diff_objects);
	return err;
}

/* Not there in modules without constants. */
extern int klp_diff_write_constants(void) __weak;

static int __init write_constants(void)
{
	const size_t n_constants = klp_diff_constants_end - klp_diff_constants_begin;

	if (n_constants == 0)
		return 0;
	if (!klp_diff_write_constants) {
		pr_err("linked without klp_runtime_constants.o\n");
		return -ENOSYS;
	}
	return klp_diff_write_constants();
}

static int __init klp_diff_init(void)
{
	int err = make_arrays();

	if (!err)
		err = write_constants();
	if (!err) {
		klp_diff_patch.mod = THIS_MODULE;
		klp_diff_patch.objs = klp_diff_objects;
		klp_diff_patch.states = klp_diff_states;
		klp_diff_patch.replace = klp_diff_replace;
		err = klp_enable_patch(&klp_diff_patch);
	}
	/* A patch that could not be enabled is let go by the core before it returns. */
	if (err)
		free_arrays();
	else if (klp_diff_pinned)
		__module_get(THIS_MODULE);
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
