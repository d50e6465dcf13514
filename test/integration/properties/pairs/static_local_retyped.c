// Another type: its value would be lost.
// expect: refused static-local-reset f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	static long n;
#else
	static int n;
#endif
	n += x;
	return (int)(n + get());
}
