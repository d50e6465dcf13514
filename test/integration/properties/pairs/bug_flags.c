// Its flags are not.
// compilers: gcc clang
// expect: changed g
#include "kernel.h"
#ifdef PATCHED
#define FLAGS "2307"
#else
#define FLAGS "2305"
#endif
#define WARN(c, flags) do { if (c) asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n.long %c0 - .\n.word %c1\n" \
	".word " flags "\n.popsection" : : "i"("file.c"), "i"(12)); } while (0)
int f(int x) { WARN(x > 7, "2305"); return x + (int)get(); }
int g(int x) { WARN(x > 9, FLAGS); return x - (int)get(); }
