// A constant beside the function's name that is no line.
// expect: changed f
#include "kernel.h"
void limit(const char *function, int limit);
#ifdef PATCHED
#define LIMIT 310
#line 80
#else
#define LIMIT 300
#line 70
#endif
int f(int x) { limit(__func__, LIMIT); return x; }
int g(int x) { limit(__func__, 300); return x; }
