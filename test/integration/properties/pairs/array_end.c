// The end of an array is not the next variable.
// expect: changed f
// expect: klp table
// expect: no-klp next
#include "kernel.h"
static int table[20] = { 1 };
static int next[20] = { 2 };
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	for (int *p = table; p < table + 20; p++) { *p += x; use(p); }
	use(table + 20);
	return x;
}
int g(int x) { next[x]++; return next[2]; }
