// A new global that nobody uses needs no module.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
int __weak fresh(int x) { return x + (int)get(); }
int unused_variable = 5;
#endif
int f(int x) { return x; }
