// Compound literals of the file are numbered from its end: another one behind them is no change of them.
// expect: changed f
// expect: data
#include "kernel.h"
struct item { const char *name; int *values; };
struct item items[2] = { { "first", (int[]){ 1, 2, 3 } }, { "second", (int[]){ 4, 5 } } };
#ifdef PATCHED
struct item more[1] = { { "more", (int[]){ 7 } } };
#endif
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	return items[x & 1].values[0];
}
