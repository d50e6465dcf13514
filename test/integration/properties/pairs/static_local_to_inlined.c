// A static local of an inlined function, which several functions use: one variable.
// expect: changed f
// expect: klp n
// expect: data
#include "kernel.h"
static always_inline int count(int x) { static int n; n += x; return n; }
int f(int x) {
#ifdef PATCHED
	if (x > 1000) return -1;
#endif
	return count(x) + (int)get();
}
int g(int x) { return count(2 * x) * (int)get(); }
