// Attributes move a function to .text.hot and .text.unlikely.
// compilers: gcc
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
#define HOT __attribute__((hot))
#else
#define HOT
#endif
int f(int x) HOT;
int f(int x) { return x + (int)get(); }
