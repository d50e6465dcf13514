// `pause` is a NOP by its encoding, not by what it is for.
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
int f(int *p) {
	while (READ_ONCE(*p))
#ifdef PATCHED
		asm volatile("pause" ::: "memory");
#else
		asm volatile("" ::: "memory");
#endif
	return (int)get();
}
