// A variable that only gets a larger alignment stays where it is.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
long state __attribute__((aligned(8)));
#else
long state;
#endif
int f(int x) { state += x; return state; }
