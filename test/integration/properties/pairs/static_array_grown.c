// A static array of the file that has grown: the running kernel's is too short for the new code.
// expect: refused changed-data table
#include "kernel.h"
#ifdef PATCHED
static int table[24];
#else
static int table[16];
#endif
int f(int x) { use(table); return table[x]; }
