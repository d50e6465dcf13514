// Lines that are part of a computation mean what they say.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#line 1210
#else
#line 1200
#endif
int f(int x) { return x * __LINE__; }
