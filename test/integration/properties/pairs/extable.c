// An exception table entry appears, the code stays.
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define TYPE "3"
#else
#define TYPE "1"
#endif
int f(int *p) {
	int r = 0;
	asm volatile("1: movl (%1), %0\n2:\n.pushsection __ex_table,\"a\"\n.long 1b - .\n.long 2b - .\n.long " TYPE "\n.popsection" : "+r"(r) : "r"(p));
	return r + (int)get();
}
