// A changed table of functions, of which one is new.
// compilers: gcc clang
// expect: lifted f
// expect: new third
// expect: data steps
// expect: klp first
#include "kernel.h"
static int first(int x) { return x + (int)get(); }
static int second(int x) { return x - (int)get(); }
#ifdef PATCHED
static int third(int x) { return x * (int)get(); }
static int (*const steps[])(int) = { first, third, second };
#else
static int (*const steps[])(int) = { first, second, second };
#endif
int f(int x) { return steps[x](x); }
