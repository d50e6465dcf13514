// SPDX-License-Identifier: GPL-2.0
/*
 * Two functions that each keep their value in a variable of the same name. gcc numbers such variables from the end of
 * the file, so one more function before or after these changes which of them is n.0. A read counts and shows.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>

static int get_first(char *buffer, const struct kernel_param *parameter)
{
	static int n = 100;

	WRITE_ONCE(n, READ_ONCE(n) + 1);
	return sprintf(buffer, "first %d\n", n);
}

static int get_second(char *buffer, const struct kernel_param *parameter)
{
	static int n = 500;

	WRITE_ONCE(n, READ_ONCE(n) + 1);
	return sprintf(buffer, "second %d\n", n);
}

static const struct kernel_param_ops first_ops = { .get = get_first };
static const struct kernel_param_ops second_ops = { .get = get_second };
module_param_cb(first, &first_ops, NULL, 0444);
module_param_cb(second, &second_ops, NULL, 0444);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test module: two static variables of one name");
