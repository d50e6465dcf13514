// A variable of zeros may stand in .data or in .bss.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
int state __section(".data.state") = 0;
#else
int state __section(".bss.state") = 0;
#endif
int f(int x) { state += x; return state; }
