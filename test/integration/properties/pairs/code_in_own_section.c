// A piece of code out of line, in a section of its own (.altinstr_aux is one such, others are the function's own).
// compilers: gcc clang
// expect: changed f
// or-refused: unsupported-section f
#include "kernel.h"
#ifdef PATCHED
#define VALUE "4"
#else
#define VALUE "3"
#endif
int f(int x) {
	asm volatile("jmp 6f\n7:\n.pushsection .text.outline,\"ax\"\n6: movl $" VALUE ", %0\njmp 7b\n.popsection" : "=r"(x));
	return x + (int)get();
}
