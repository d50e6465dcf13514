// Its address goes elsewhere.
// expect: refused not-traceable helper
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int f(int x) { use(helper); return helper(x) + 1; }
