// Another place to go on after a fault.
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define TO "3b"
#else
#define TO "2b"
#endif
int f(int *p) {
	int r = 0;
	asm volatile("1: movl (%1), %0\n2: nop\nincl %0\n3:\n.pushsection __ex_table,\"a\"\n.long 1b - .\n.long " TO " - .\n.long 1\n.popsection" : "+r"(r) : "r"(p));
	return r + (int)get();
}
