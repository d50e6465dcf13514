// Functions that differ in line numbers only are named in a note.
// expect: changed g
// expect: note line-only
#include "kernel.h"
void warn(const char *file, int line);
#ifdef PATCHED
#line 1300
#else
#line 1200
#endif
int f(int x) { if (x) warn(__FILE__, __LINE__); return x; }
#ifdef PATCHED
int g(int x) { return x + (int)get(); }
#else
int g(int x) { return x - (int)get(); }
#endif
