// Two functions with static locals of one name change places in the source: the numbers swap, nothing else.
// expect: unchanged
#include "kernel.h"
#ifdef PATCHED
int g(int x) { static int n; n -= x; return n * (int)get(); }
int f(int x) { static int n; n += x; return n * (int)get(); }
#else
int f(int x) { static int n; n += x; return n * (int)get(); }
int g(int x) { static int n; n -= x; return n * (int)get(); }
#endif
