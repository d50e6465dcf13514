// The size of an allocation beside __func__ and a line that moved by as much.
// expect: changed f
#include "kernel.h"
void *allocate(size_t size, const char *function, int line);
#ifdef PATCHED
#define SIZE 74
#line 1074
#else
#define SIZE 64
#line 1064
#endif
void *f(int x) { return allocate(SIZE, __func__, __LINE__); }
void *g(int x) { return allocate(64, __func__, __LINE__); }
