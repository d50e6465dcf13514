// A removed function is reported and harmless.
// expect: changed f
// expect: removed helper
#include "kernel.h"
#ifndef PATCHED
static noinline int helper(int x) { return x * (int)get(); }
#endif
int f(int x) {
#ifndef PATCHED
	x = helper(x);
#endif
	return x + (int)get();
}
