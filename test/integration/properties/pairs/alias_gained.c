// An alias more or less changes no code.
// expect: unchanged
#include "kernel.h"
int f(int x) { return x + (int)get(); }
#ifdef PATCHED
int also(int x) __attribute__((alias("f")));
#endif
int user(int x) { return f(x); }
