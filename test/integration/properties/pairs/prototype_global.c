// Callers in other files do not pass the new argument.
// expect: changed f
// expect: refused changed-prototype f
#include "kernel.h"
#ifdef PATCHED
long f(long x, long y) { return x + y + get(); }
#else
long f(long x) { return x + get(); }
#endif
