// An entry of a linker set that nothing refers to: there is nobody who would see it.
// expect: refused unsupported-section entry
#include "kernel.h"
int f(int x) { return x + (int)get(); }
#ifdef PATCHED
static void *entry __used __section("_some_linker_set") = f;
#endif
