/*
 * System calls that no shell makes, as the VM tests need them. Prints what the call gave: its value, or the error's
 * number with a minus.
 *
 *   probe personality N      sets the personality of this process alone
 *   probe getdents           a directory's entries to an address where nothing is
 *   probe getdents-right     to a buffer
 *   probe futex              FUTEX_WAKE_OP on an address where nothing is
 *   probe futex-right        on a word, which is then shown
 *   probe futex-odd          FUTEX_WAKE on a word that is not aligned
 *   probe futex-far          FUTEX_WAKE on an address that no process can have
 *   probe read-far           reads nothing at all to such an address
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *const nowhere = (char *)0x10000; /* below every mapping of a static program, above mmap_min_addr */

/* Above all user addresses and below 0x0123456789abcdef, which the kernel's code has in the place of their end until it boots. */
static char *const far = (char *)0x0100000000000000;

static long made(long result)
{
	return result == -1 ? -errno : result;
}

static long getdents(char *buffer, unsigned size)
{
	return made(syscall(SYS_getdents64, open("/", O_RDONLY | O_DIRECTORY), buffer, size));
}

static long wake_op(unsigned *word)
{
	unsigned first = 0;

	return made(syscall(SYS_futex, &first, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1L, word,
			    FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)));
}

static long wake(void *word)
{
	return made(syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1));
}

int main(int count, char **words)
{
	static char entries[4096];
	const char *what = count > 1 ? words[1] : "";
	unsigned word = 37;

	if (!strcmp(what, "personality") && count > 2)
		printf("%ld\n", made(syscall(SYS_personality, strtoul(words[2], NULL, 0))));
	else if (!strcmp(what, "getdents"))
		printf("%ld\n", getdents(nowhere, sizeof(entries)));
	else if (!strcmp(what, "getdents-right"))
		printf("%s\n", getdents(entries, sizeof(entries)) > 0 ? "entries" : "none");
	else if (!strcmp(what, "futex"))
		printf("%ld\n", wake_op((unsigned *)nowhere));
	else if (!strcmp(what, "futex-right") && wake_op(&word) == 0)
		printf("0 %u\n", word);
	else if (!strcmp(what, "futex-odd"))
		printf("%ld\n", wake((char *)&word + 1));
	else if (!strcmp(what, "futex-far"))
		printf("%ld\n", wake(far));
	else if (!strcmp(what, "read-far"))
		printf("%ld\n", made(read(open("/proc/version", O_RDONLY), far, 0)));
	else
		return 2;
	return 0;
}
