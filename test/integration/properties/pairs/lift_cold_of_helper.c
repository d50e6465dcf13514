// What changes is the cold part of a function without a site.
// compilers: gcc
// expect: changed helper
// expect: lifted f
#include "kernel.h"
#ifdef PATCHED
#define TEXT "new\n"
#else
#define TEXT "old\n"
#endif
static noinline notrace int helper(int x) {
	if (x > 1000) { bad(); printk(TEXT); bad(); printk("again\n"); return -1; }
	return x * (int)get();
}
int f(int x) { return helper(x) + 1; }
