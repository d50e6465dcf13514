// No line has moved, a constant has.
// expect: changed f
#include "kernel.h"
void complain(const char *file, int line, int value);
#ifdef PATCHED
#define VALUE 25
#else
#define VALUE 20
#endif
int f(int x) { complain(__FILE__, __LINE__, VALUE); return x; }
int g(int x) { complain(__FILE__, __LINE__, 20); return x; }
