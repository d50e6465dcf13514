// A changed constant table is carried by its readers on POWER, too: followed from where it is loaded from .toc.
// compilers: ppc64
// expect: lifted f g
// expect: data table
#include "kernel.h"
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
int f(int x) { return table[x & 7]; }
int g(const int *from)
{
	const int *p = from ? &table[*from & 3] : table;
	return p[1] + p[2];
}
int other(int x) { return x; }
