// New and old per-cpu variables.
// compilers: gcc clang
// expect: changed f
// expect: klp counter
// expect: data fresh
#include "kernel.h"
static __percpu_data int counter;
#ifdef PATCHED
static __percpu_data int fresh;
#endif
int f(int x) {
#ifdef PATCHED
	asm volatile("incl %%gs:%0" : "+m"(fresh));
#endif
	asm volatile("addl %1, %%gs:%0" : "+m"(counter) : "r"(x));
	return x;
}
