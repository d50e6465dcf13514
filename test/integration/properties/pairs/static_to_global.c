// A function and a variable lose their `static`: the same ones still.
// expect: changed user
// expect: klp callee state
// expect: data
#include "kernel.h"
#ifdef PATCHED
#define STATIC
#else
#define STATIC static
#endif
STATIC int state;
STATIC noinline int callee(int x) { return x + state++ + (int)get(); }
int user(int x) {
#ifdef PATCHED
	x += 2;
#endif
	return callee(x) + state;
}
