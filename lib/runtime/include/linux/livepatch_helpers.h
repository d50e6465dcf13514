/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The macros of the kernel's header of this name (Linux 6.19), for patches written for klp-build. This one is found before
 * the kernel's own, as klp-diff reads other marks than objtool does.
 */
#ifndef _LINUX_LIVEPATCH_HELPERS_H
#define _LINUX_LIVEPATCH_HELPERS_H

#include <linux/static_call.h>
#include <linux/stringify.h>
#include <linux/syscalls.h>

#include "../klp-diff.h"

/*
 * The object that this file belongs to, as a word: vmlinux, or the module's name as kbuild makes a word of it (kmod_...).
 * The kernel's header makes names of variables from it. Authors need not write it anywhere: klp-diff knows which object a
 * file belongs to, and callbacks find its name in obj->name (NULL: vmlinux).
 */
#ifdef MODULE
#define KLP_OBJNAME __KBUILD_MODNAME
#else
#define KLP_OBJNAME vmlinux
#endif

/* The system call's metadata stays as it is and is compared like all data, so nothing needs to be left out. */
#define KLP_SYSCALL_DEFINE1 SYSCALL_DEFINE1
#define KLP_SYSCALL_DEFINE2 SYSCALL_DEFINE2
#define KLP_SYSCALL_DEFINE3 SYSCALL_DEFINE3
#define KLP_SYSCALL_DEFINE4 SYSCALL_DEFINE4
#define KLP_SYSCALL_DEFINE5 SYSCALL_DEFINE5
#define KLP_SYSCALL_DEFINE6 SYSCALL_DEFINE6

/* A static call on a module's key cannot be patched into new code: read the key's present function and call that. */
#define KLP_STATIC_CALL(name) ((typeof(STATIC_CALL_TRAMP(name)) *)READ_ONCE(STATIC_CALL_KEY(name).func))

#endif
