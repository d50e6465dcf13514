// The address goes to a function: the author must judge.
// expect: refused changed-data table
#include "kernel.h"
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
int f(int x) { use(table); return table[x]; }
