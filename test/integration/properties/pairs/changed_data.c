// A changed initial value cannot be patched.
// expect: refused changed-data limit
#include "kernel.h"
#ifdef PATCHED
int limit = 64;
#else
int limit = 16;
#endif
int f(int x) { return x > limit; }
