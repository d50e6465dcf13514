// Two variables of a shared section change places, the code does not: offsets differ, meaning does not.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
static int two[4] __read_mostly = { 2 };
static int one[4] __read_mostly = { 1 };
#else
static int one[4] __read_mostly = { 1 };
static int two[4] __read_mostly = { 2 };
#endif
int f(int x) { one[1] = x; two[2] = x; return (int)get(); }
int g(int x) { one[x & 3]++; two[x & 3]--; return one[1] - two[2]; }
