// Who calls a global one is not known from one file.
// expect: refused not-traceable helper
#include "kernel.h"
noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int f(int x) { return helper(x) + 1; }
