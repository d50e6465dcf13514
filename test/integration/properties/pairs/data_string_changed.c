// A string that data points to.
// expect: refused changed-data names
#include "kernel.h"
#ifdef PATCHED
#define TWO "TWO"
#else
#define TWO "two"
#endif
const char *names[] = { "one", TWO, "three" };
int f(int x) { use(names[x]); return x; }
