// expect: refused changed-data counter
// compilers: gcc clang
#include "kernel.h"
#ifdef PATCHED
__percpu_data int counter = 2;
#else
__percpu_data int counter = 1;
#endif
int f(int x) { asm volatile("addl %1, %%gs:%0" : "+m"(counter) : "r"(x)); return x; }
