// r9 has the table's address when get() is called, and may be its seventh argument.
// compilers: ppc64
// expect: refused changed-data table
#include "kernel.h"
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
int f(int x) { return table[x & 7] + (int)get(); }
