// A clone for a constant argument changes in itself.
// compilers: gcc
// expect: changed helper.constprop
#include "kernel.h"
static noinline int helper(int x, int mode) {
	if (mode == 3) printk("three\n");
#ifdef PATCHED
	return x * (int)get() + mode + 1;
#else
	return x * (int)get() + mode;
#endif
}
int f(int x) { return helper(x, 3) + helper(x + 1, 3); }
