// The same, and only the string differs.
// expect: changed f
// expect: string abcdeX
#include "kernel.h"
#ifdef PATCHED
#define TEXT "abcdeX"
#else
#define TEXT "abcdef"
#endif
int f(int x) { return TEXT[x - 1]; }
