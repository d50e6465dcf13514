// The call is in the cold part of the caller.
// compilers: gcc
// expect: changed helper
// expect: lifted f
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int f(int x) {
	if (x > 1000) { bad(); printk("too much\n"); bad(); return helper(x); }
	return x + (int)get();
}
