// The running kernel's function returns nothing.
// expect: changed f
// expect: refused changed-prototype helper
#include "kernel.h"
#ifdef PATCHED
int helper(long);
long f(long x) { return helper(x) ? -1 : get(); }
#else
void helper(long);
long f(long x) { helper(x); return get(); }
#endif
