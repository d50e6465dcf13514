// A line that needs a longer immediate: 127 to 128.
// expect: unchanged
#include "kernel.h"
void push8(int, int, int, int, int, int, int, int);
#ifdef PATCHED
#line 131
#else
#line 120
#endif
int f(int x) { push8(1, 2, 3, 4, 5, 6, __LINE__, x); return (int)get(); }
