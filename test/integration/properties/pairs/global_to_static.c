// And the other way round.
// expect: changed user
// expect: klp callee state
// expect: data
#include "kernel.h"
#ifdef PATCHED
#define STATIC static
#else
#define STATIC
#endif
STATIC int state;
STATIC noinline int callee(int x) { return x + state++ + (int)get(); }
int user(int x) {
#ifdef PATCHED
	x += 2;
#endif
	return callee(x) + state;
}
