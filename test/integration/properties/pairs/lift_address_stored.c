// Somebody may call the old one through the table.
// expect: refused not-traceable helper
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int (*hook)(int) = helper;
int f(int x) { return helper(x) + 1; }
