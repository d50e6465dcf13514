// Qualifiers of what a pointer leads to do not change a call.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
long helper(const char *);
long f(char *x) { return helper(x) + 1; }
#else
long helper(char *);
long f(char *x) { return helper(x); }
#endif
