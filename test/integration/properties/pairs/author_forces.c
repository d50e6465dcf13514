// The kernel has no way to force a function past its consistency check.
// expect: changed f
// expect: note stall-risk f
#include "kernel.h"
#ifdef PATCHED
int f(int x);
static void *force_f __used __section(".kpatch.force") = f;
int f(int x) { return x * (int)get() + 1; }
#else
int f(int x) { return x * (int)get(); }
#endif
