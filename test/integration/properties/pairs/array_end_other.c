// From the end of one array to the start of another: the code differs in meaning, and in the object perhaps only in a symbol.
// expect: changed f
#include "kernel.h"
static int table[20] __read_mostly = { 1 };
static int next[20] __read_mostly = { 2 };
int f(int x) {
#ifdef PATCHED
	use(&next[1]);
#else
	use(&table[19]);
#endif
	return x;
}
int g(int x) { next[x]++; table[x]--; return next[2]; }
