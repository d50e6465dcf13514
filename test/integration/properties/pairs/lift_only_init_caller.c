// Only boot-time code calls it: nothing to do.
// expect: note inert helper
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int __section(".init.text") start(int x) { return helper(x) + 2; }
