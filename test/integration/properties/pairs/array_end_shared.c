// The end of an array in a section of several, in front of a new variable.
// expect: changed f
// or-refused: ambiguous-symbol f
// expect: klp table
#include "kernel.h"
static int table[20] __read_mostly = { 1 };
#ifdef PATCHED
static int fresh[4] __read_mostly = { 5 };
#endif
static int after[4] __read_mostly = { 1 };
int f(int x) {
#ifdef PATCHED
	x += 2;
#endif
	for (int *p = table; p < table + 20; p++) { *p += x; use(p); }
	return x;
}
int g(int x) {
	after[x]++; table[x]++;
	return after[2];
}
#ifdef PATCHED
void h(int x) { fresh[x]++; }
#endif
