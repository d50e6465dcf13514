// SPDX-License-Identifier: GPL-2.0
/* Test module: a static branch on a key that klp_keys exports. */
#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

DECLARE_STATIC_KEY_FALSE(klp_keys_shared);

static int get_shared(char *buffer, const struct kernel_param *parameter)
{
	return sprintf(buffer, "%s\n", static_branch_unlikely(&klp_keys_shared) ? "on" : "off");
}

static const struct kernel_param_ops shared_ops = { .get = get_shared };
module_param_cb(shared, &shared_ops, NULL, 0444);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test module: a static branch on another module's key");
