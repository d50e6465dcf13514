// A variable that becomes one of each processor: another place, another way of reaching it.
// compilers: gcc clang
// expect: refused changed-data counter
#include "kernel.h"
#ifdef PATCHED
__percpu_data int counter;
int f(int x) { asm volatile("addl %1, %%gs:%0" : "+m"(counter) : "r"(x)); return x; }
#else
int counter;
int f(int x) { asm volatile("addl %1, %%ds:%0" : "+m"(counter) : "r"(x)); return x; }
#endif
