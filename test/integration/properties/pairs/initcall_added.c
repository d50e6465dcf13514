// A new start-up call would never be made.
// expect: refused init-code late
#include "kernel.h"
static int late(void) { return (int)get(); }
#ifdef PATCHED
static int (*const __initcall_late)(void) __used __section(".initcall6.init") = late;
#endif
int f(void) { return late(); }
