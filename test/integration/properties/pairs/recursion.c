// A function that calls itself, and takes its own address.
// expect: changed f
// expect: klp f
#include "kernel.h"
int noinline f(int x) {
#ifdef PATCHED
	x--;
#endif
	if (x > 3) use(f);
	return x <= 0 ? 0 : f(x - 2) + (int)get() * f(x - 3);
}
