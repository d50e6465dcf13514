// A loop over the table: its address is in a register, compared with the end of the table only.
// compilers: gcc clang
// expect: lifted f
// expect: data names
// expect: string TWO
#include "kernel.h"
struct entry { const char *name; long value; };
#ifdef PATCHED
#define TWO "TWO"
#else
#define TWO "two"
#endif
static const struct entry names[] = { { "one", 1 }, { TWO, 2 }, { "three", 3 }, { "four", 4 }, { "five", 5 },
	{ "six", 6 }, { "seven", 7 }, { "eight", 8 }, { "nine", 9 }, { "ten", 10 }, { "eleven", 11 } };
long f(void) {
	const struct entry *e;
	long sum = 0;
	for (e = names; e < names + ARRAY_SIZE(names); e++) {
		printk(e->name);
		sum += e->value * get();
	}
	return sum;
}
