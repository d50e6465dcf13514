// Branches on the counter register are different conditions.
// compilers: gcc clang
// expect: changed f g
#include "kernel.h"
#ifdef PATCHED
#define LOOP "loope"
#define ZERO "jrcxz"
#else
#define LOOP "loop"
#define ZERO "jecxz"
#endif
int f(long n) { asm volatile("1: decl %%eax\n" LOOP " 1b" : "+c"(n) : : "eax", "cc"); return (int)n; }
int g(long n) { asm volatile(ZERO " 1f\nincl %%eax\n1:" : "+c"(n) : : "eax", "cc"); return (int)n; }
