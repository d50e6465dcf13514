// Other data holds the address.
// expect: refused changed-data inner
#include "kernel.h"
struct outer { const int *values; int count; };
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int inner[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
static const struct outer outer[] = { { inner, 8 }, { NULL, 0 } };
int f(int x) { return outer[x].values[x] + inner[x]; }
