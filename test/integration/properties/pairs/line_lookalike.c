// A constant that changes by as much as the lines do is a change.
// expect: changed f g
#include "kernel.h"
void complain(const char *file, int line);
#ifdef PATCHED
#define SIZE 1210
#line 1210
#else
#define SIZE 1200
#line 1200
#endif
int f(int x) { if (x > SIZE) return -1; return x; }
int g(int x) { use((void *)(ulong)SIZE); return x; }
int h(int x) { complain("h", __LINE__); return x; }
