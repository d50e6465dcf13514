// A changed table of strings.
// compilers: gcc clang
// expect: lifted f
// expect: data names
// expect: string TWO
#include "kernel.h"
#ifdef PATCHED
#define TWO "TWO"
#else
#define TWO "two"
#endif
static const char *const names[] = { "one", TWO, "three" };
int f(int x) { printk(names[x]); return x; }
