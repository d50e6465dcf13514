// A line and something else in one function: changed.
// expect: changed f
#include "kernel.h"
void complain(const char *file, int line);
#ifdef PATCHED
#define LIMIT 5
#line 1210
#else
#define LIMIT 4
#line 1200
#endif
int f(int x) { if (x > LIMIT) complain("f", __LINE__); return x; }
