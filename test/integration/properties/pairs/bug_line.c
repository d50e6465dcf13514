// The line of a WARN is in the bug table.
// compilers: gcc clang
// expect: unchanged
#include "kernel.h"
#define WARN_ON(c) do { if (c) asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n.long %c0 - .\n.word %c1\n" \
	".word 2305\n.popsection" : : "i"("file.c"), "i"(__LINE__)); } while (0)
#ifdef PATCHED
#line 1210
#else
#line 1200
#endif
int f(int x) { WARN_ON(x > 7); return x + (int)get(); }
int g(int x) { WARN_ON(x > 9); return x - (int)get(); }
