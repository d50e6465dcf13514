// A changed constant table is carried by its readers.
// compilers: gcc clang
// expect(gcc): lifted f g
// expect(clang): changed f g
// expect(gcc): data table
#include "kernel.h"
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
int f(int x) { return table[x]; }
int g(int x) { return table[x & 7] + (int)get(); }
int other(int x) { return x; }
