// SPDX-License-Identifier: GPL-2.0
/*
 * Static branches on the module's own keys, of each kind that the kernel has: by default false or true, and likely or
 * not. Reading `keys` shows what each branch does; writing to a key's name switches it.
 */
#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

static DEFINE_STATIC_KEY_FALSE(off_key);
static DEFINE_STATIC_KEY_TRUE(on_key);

static int get_keys(char *buffer, const struct kernel_param *parameter)
{
	int length = scnprintf(buffer, PAGE_SIZE, "keys:");

	if (static_branch_unlikely(&off_key))
		length += sprintf(buffer + length, " off-unlikely");
	if (static_branch_likely(&off_key))
		length += sprintf(buffer + length, " off-likely");
	if (static_branch_unlikely(&on_key))
		length += sprintf(buffer + length, " on-unlikely");
	if (static_branch_likely(&on_key))
		length += sprintf(buffer + length, " on-likely");
	return length + sprintf(buffer + length, "\n");
}

static int set_off_key(const char *value, const struct kernel_param *parameter)
{
	if (value[0] == '1')
		static_branch_enable(&off_key);
	else
		static_branch_disable(&off_key);
	return 0;
}

static int set_on_key(const char *value, const struct kernel_param *parameter)
{
	if (value[0] == '1')
		static_branch_enable(&on_key);
	else
		static_branch_disable(&on_key);
	return 0;
}

static const struct kernel_param_ops keys_ops = { .get = get_keys };
static const struct kernel_param_ops off_key_ops = { .set = set_off_key };
static const struct kernel_param_ops on_key_ops = { .set = set_on_key };
module_param_cb(keys, &keys_ops, NULL, 0444);
module_param_cb(off_key, &off_key_ops, NULL, 0200);
module_param_cb(on_key, &on_key_ops, NULL, 0200);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test module: static branches on its own keys");
