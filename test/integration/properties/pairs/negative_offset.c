// array[i - 1] makes a reference in front of the array.
// expect: changed f
// expect: klp table
#include "kernel.h"
static int before[20] = { 1 };
static int table[20] = { 2 };
int f(int x) {
#ifdef PATCHED
	x += 2;
#endif
	return table[x - 1] + table[x - 3];
}
int g(int x) { before[x]++; table[x]++; return before[x + 2]; }
