// array[i - 1] in a section of several variables, with a new variable in front: the reference lies in the new one, the
// variable that is meant is the old one.
// expect: changed f
// expect: klp table
// expect: no-klp before
// or-refused: ambiguous-symbol f
#include "kernel.h"
static int before[4] __read_mostly = { 1 };
#ifdef PATCHED
static int fresh[4] __read_mostly = { 5 };
#endif
static int table[20] __read_mostly = { 2 };
int f(int x) {
#ifdef PATCHED
	x += 2;
	use(fresh);
#endif
	return table[x - 1] + table[x - 3];
}
int g(int x) { before[x]++; table[x]++; return before[x + 2]; }
