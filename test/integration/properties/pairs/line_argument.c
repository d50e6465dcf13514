// __LINE__ as an argument, in any register, and on the stack: the line alone is no change.
// expect: unchanged
#include "kernel.h"
void complain(const char *file, int line), complain6(int a, int b, int c, int d, int e, int line), complain8(int, int, int, int, int, int, int, int);
void complain2(int line, const char *file);
#ifdef PATCHED
#line 1200
#else
#line 1190
#endif
int f(int x) { if (x > 10) complain("f", __LINE__); return x; }

int g(int x) { if (x > 10) complain2(__LINE__, "g"); return x; }
int h(int x) { if (x > 10) complain6(1, 2, 3, 4, x, __LINE__); return x; }
int i(int x) { if (x > 10) complain8(1, 2, 3, 4, x, 6, __LINE__, 8); return x; }
