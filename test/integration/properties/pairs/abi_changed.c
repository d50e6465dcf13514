// The function is exported: modules call it as before.
// expect: changed f
// expect: refused changed-prototype f
// expect: refused changed-abi f
#include "kernel.h"
#ifdef PATCHED
long f(long x, long y) { return x + y + get(); }
#else
long f(long x) { return x + get(); }
#endif
static const long __ksymtab_f __used __section("___ksymtab+f") = 1;
