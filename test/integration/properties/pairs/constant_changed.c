// A plain constant.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define LIMIT 4097
#else
#define LIMIT 4096
#endif
int f(int x) { return x > LIMIT ? -22 : x * 3; }
int g(int x) { return x > 4096 ? -22 : x * 3; }
