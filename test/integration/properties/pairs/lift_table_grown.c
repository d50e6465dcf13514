// A longer table, and code that knows its length.
// expect: changed f
// expect: data table
#include "kernel.h"
static const short table[] = {
	1, 2, 3, 4, 5, 6, 7,
#ifdef PATCHED
	8, 9,
#endif
};
int f(unsigned x) { return x < ARRAY_SIZE(table) ? table[x] : 0; }
