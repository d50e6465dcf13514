/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM klp_keys

#if !defined(KLP_KEYS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KLP_KEYS_TRACE_H
#include <linux/tracepoint.h>

/* Its fields take no strings: their macros are not the same in all kernels. */
TRACE_EVENT(klp_keys_read,
	TP_PROTO(const char *what),
	TP_ARGS(what),
	TP_STRUCT__entry(__array(char, what, 32)),
	TP_fast_assign(strscpy(__entry->what, what, sizeof(__entry->what));),
	TP_printk("what=%s", __entry->what)
);
#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE klp_keys_trace
#include <trace/define_trace.h>
