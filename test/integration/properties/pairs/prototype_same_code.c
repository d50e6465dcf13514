// An argument that is not used changes no code.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
long f(long x, long y) { return x + get(); }
#else
long f(long x) { return x + get(); }
#endif
