// SPDX-License-Identifier: GPL-2.0
/*
 * What of a module the kernel knows by addresses that a livepatch learns only when the module comes: static branches on
 * its own keys, of each kind, one of them exported; a tracepoint; pr_debug; a static call; alternatives with calls and
 * data of the module; its data, also per processor and by tables of functions; its count of users.
 *
 * Reading a parameter shows what one of these does, writing another one switches it. A patch that changes the title
 * changes all functions that are read.
 */
#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/static_call.h>
#include <asm/alternative.h>

#define CREATE_TRACE_POINTS
#include "klp_keys_trace.h"

#define TITLE ""

static DEFINE_STATIC_KEY_FALSE(off_key);
static DEFINE_STATIC_KEY_TRUE(on_key);
DEFINE_STATIC_KEY_FALSE(klp_keys_shared);
EXPORT_SYMBOL_GPL(klp_keys_shared);

static int get_keys(char *buffer, const struct kernel_param *parameter)
{
	int length = scnprintf(buffer, PAGE_SIZE, TITLE "keys:");

	if (static_branch_unlikely(&off_key))
		length += sprintf(buffer + length, " off-unlikely");
	if (static_branch_likely(&off_key))
		length += sprintf(buffer + length, " off-likely");
	if (static_branch_unlikely(&on_key))
		length += sprintf(buffer + length, " on-unlikely");
	if (static_branch_likely(&on_key))
		length += sprintf(buffer + length, " on-likely");
	if (static_branch_unlikely(&klp_keys_shared))
		length += sprintf(buffer + length, " shared");
	return length + sprintf(buffer + length, "\n");
}

static int get_event(char *buffer, const struct kernel_param *parameter)
{
	trace_klp_keys_read(TITLE "event");
	pr_debug(TITLE "message\n");
	return sprintf(buffer, TITLE "event\n");
}

static int once(int n)
{
	return n;
}

static int twice(int n)
{
	return 2 * n;
}

DEFINE_STATIC_CALL(klp_keys_call, once);

static int get_call(char *buffer, const struct kernel_param *parameter)
{
	return sprintf(buffer, TITLE "call: %d\n", static_call(klp_keys_call)(21));
}

/* Values that nobody writes, but the compiler must not know. */
int klp_keys_first = 1, klp_keys_second = 2;
int klp_keys_add_first(int n);
int klp_keys_add_second(int n);

noinline int klp_keys_add_first(int n)
{
	return n + klp_keys_first;
}

noinline int klp_keys_add_second(int n)
{
	return n + klp_keys_second;
}

/* A call of the one or the other, as the processor has the feature or not. */
#define add_by(feature, n)                                                                                    \
	({                                                                                                    \
		int result, argument = (n);                                                                   \
		asm volatile(ALTERNATIVE("call klp_keys_add_first", "call klp_keys_add_second", feature)      \
			     : "=a"(result), "+D"(argument), ASM_CALL_CONSTRAINT                              \
			     :                                                                                \
			     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");                \
		result;                                                                                       \
	})

/* Data in code that is copied into its place has no meaning to the objtool of 6.1. */
#define value_by(feature)                                                                     \
	({                                                                                    \
		int result;                                                                   \
		asm volatile(ALTERNATIVE("movl klp_keys_first(%%rip), %0", "movl $7, %0", feature) \
			     : "=r"(result));                                                 \
		result;                                                                       \
	})

static int get_calls_by_feature(char *buffer, const struct kernel_param *parameter)
{
	return sprintf(buffer, TITLE "calls: always %d never %d\n", add_by(X86_FEATURE_ALWAYS, 10),
		       add_by(X86_FEATURE_XENPV, 10));
}

static int get_data_by_feature(char *buffer, const struct kernel_param *parameter)
{
	return sprintf(buffer, TITLE "data: always %d never %d\n", value_by(X86_FEATURE_ALWAYS),
		       value_by(X86_FEATURE_XENPV));
}

static int reads;
static DEFINE_PER_CPU(int, reads_here);
static int (*changing[])(int) = { once, twice };
static int (*const constant[])(int) = { once, twice };

/* Counts in two ways, and by a table that the first read changes. */
static int get_data(char *buffer, const struct kernel_param *parameter)
{
	const int which = READ_ONCE(reads) & 1;
	int cpu, sum = 0;

	reads++;
	this_cpu_inc(reads_here);
	for_each_possible_cpu(cpu)
		sum += per_cpu(reads_here, cpu);
	changing[0] = twice;
	return sprintf(buffer, TITLE "reads: %d %d tables: %d %d\n", reads, sum, changing[which](100), constant[which](100));
}

static int set_hold(const char *value, const struct kernel_param *parameter)
{
	pr_info(TITLE "hold\n");
	if (value[0] == '1')
		return try_module_get(THIS_MODULE) ? 0 : -ENODEV;
	module_put(THIS_MODULE);
	return 0;
}

static int set_call(const char *value, const struct kernel_param *parameter)
{
	if (value[0] == '1')
		static_call_update(klp_keys_call, &twice);
	else
		static_call_update(klp_keys_call, &once);
	return 0;
}

static int set_key(const char *value, const struct kernel_param *parameter)
{
	if (value[0] == '1')
		static_key_enable(parameter->arg);
	else
		static_key_disable(parameter->arg);
	return 0;
}

#define READ_BY(name)                                                              \
	static const struct kernel_param_ops name##_ops = { .get = get_##name };   \
	module_param_cb(name, &name##_ops, NULL, 0444)
READ_BY(keys);
READ_BY(event);
READ_BY(call);
READ_BY(calls_by_feature);
READ_BY(data_by_feature);
READ_BY(data);

static const struct kernel_param_ops key_ops = { .set = set_key };
static const struct kernel_param_ops set_call_ops = { .set = set_call };
static const struct kernel_param_ops hold_ops = { .set = set_hold };
module_param_cb(off_key, &key_ops, &off_key.key, 0200);
module_param_cb(on_key, &key_ops, &on_key.key, 0200);
module_param_cb(shared_key, &key_ops, &klp_keys_shared.key, 0200);
module_param_cb(set_call, &set_call_ops, NULL, 0200);
module_param_cb(hold, &hold_ops, NULL, 0200);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test module: what a livepatch learns of a module only when it comes");
