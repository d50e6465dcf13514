// A boot-time caller has run; the other one is lifted.
// expect: changed helper
// expect: lifted f
// expect: note inert helper
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int __section(".init.text") start(int x) { return helper(x) + 2; }
int f(int x) { return helper(x) + 1; }
