// Data in a section of several variables: only the one that changed.
// expect: refused changed-data second
#include "kernel.h"
int first __read_mostly = 1;
#ifdef PATCHED
int second __read_mostly = 3;
#else
int second __read_mostly = 2;
#endif
int third __read_mostly = 3;
int f(int x) { return x > first + second + third; }
