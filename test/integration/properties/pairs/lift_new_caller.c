// A new function calls it, too: that one is new anyway.
// expect: changed helper f
// expect: new fresh
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
#ifdef PATCHED
static noinline int fresh(int x) { return helper(x) - 3 * (int)get(); }
int f(int x) { return helper(x) + fresh(x); }
#else
int f(int x) { return helper(x) + 1; }
#endif
