// Callers without a site are lifted in their turn.
// expect: changed helper
// expect: lifted middle f
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
static noinline notrace int middle(int x) { return helper(x) - (int)get(); }
int f(int x) { return middle(x) + 1; }
