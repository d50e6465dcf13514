// The reader has no site: its callers are lifted.
// compilers: gcc clang
// expect(gcc): lifted read f
// expect(clang): changed read
// expect(clang): lifted f
// expect(gcc): data table
#include "kernel.h"
#ifdef PATCHED
#define LAST 81
#else
#define LAST 80
#endif
static const int table[8] = { 1, 2, 3, 4, 5, 6, 7, LAST };
static noinline notrace int read(int x) { return table[x] + (int)get(); }
int f(int x) { return read(x) + 1; }
