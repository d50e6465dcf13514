// Functions that move between .text, .text.hot and .text.unlikely do not change.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
#define A
#define B __section(".text.unlikely.b")
#define C __section(".text.c")
#else
#define A __section(".text.hot.a")
#define B
#define C __section(".text.unlikely.c")
#endif
int A a(int x) { return x + (int)get(); }
int B b(int x) { return x - (int)get(); }
int C c(int x) { return a(x) * b(x); }
