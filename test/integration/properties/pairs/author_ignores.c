// What the author leaves out stays in the report.
// expect: changed g
// expect: note ignored-change f
#include "kernel.h"
#ifdef PATCHED
#define MORE 1
int f(int x);
static void *ignore_f __used __section(".kpatch.ignore.functions") = f;
#else
#define MORE 0
#endif
int f(int x) { return x * (int)get() + MORE; }
int g(int x) { return x - (int)get() + MORE; }
