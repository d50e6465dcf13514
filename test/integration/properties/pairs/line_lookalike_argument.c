// The same, as an argument of a function that also gets lines elsewhere: cannot be told apart but by the line table.
// expect: changed f
#include "kernel.h"
void complain(const char *file, int line);
#ifdef PATCHED
#define SIZE 300
#line 1210
#else
#define SIZE 290
#line 1200
#endif
int f(int x) { complain("f", SIZE); return x; }
int h(int x) { complain("h", __LINE__); return x; }
