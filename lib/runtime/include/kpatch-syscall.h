/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The macros of kpatch's header of this name. The system call's metadata stays as it is and is compared like all data, so
 * nothing needs to be left out.
 */
#ifndef KLP_DIFF_KPATCH_SYSCALL_H
#define KLP_DIFF_KPATCH_SYSCALL_H

#include <linux/syscalls.h>

#include "kpatch-macros.h"

#define KPATCH_SYSCALL_DEFINE1 SYSCALL_DEFINE1
#define KPATCH_SYSCALL_DEFINE2 SYSCALL_DEFINE2
#define KPATCH_SYSCALL_DEFINE3 SYSCALL_DEFINE3
#define KPATCH_SYSCALL_DEFINE4 SYSCALL_DEFINE4
#define KPATCH_SYSCALL_DEFINE5 SYSCALL_DEFINE5
#define KPATCH_SYSCALL_DEFINE6 SYSCALL_DEFINE6

#endif
