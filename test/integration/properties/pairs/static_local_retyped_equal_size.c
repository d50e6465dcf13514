// Another type of the same size is another meaning.
// expect: refused static-local-reset f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	static unsigned long *n;
	n += x;
	return (int)((ulong)n + get());
#else
	static unsigned long n;
	n += x;
	return (int)(n + get());
#endif
}
