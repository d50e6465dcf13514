// The same inside a section where the assembler has resolved the calls itself.
// expect: changed f
// expect: klp two
#include "kernel.h"
#define SCHED __section(".sched.text")
static noinline SCHED int one(int x) { return x + (int)get(); }
static noinline SCHED int two(int x) { return x - (int)get(); }
int SCHED f(int x) {
#ifdef PATCHED
	return two(x) * 2;
#else
	return one(x) * 2;
#endif
}
int SCHED g(int x) { return one(x) * 3 + two(x + 1); }
