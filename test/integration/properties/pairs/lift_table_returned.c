// The address goes to a caller: nobody can tell what becomes of it.
// expect: refused changed-data table
#include "kernel.h"
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
const int *f(int x) { return table + x; }
