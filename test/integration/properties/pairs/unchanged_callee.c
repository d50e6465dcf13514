// A static function that did not change is called where it is, and static data is used where it is.
// expect: changed caller
// expect: klp callee state
#include "kernel.h"
static int state;
static noinline int callee(int x) { return x * 3 + (int)get() + state++; }
int caller(int x) {
#ifdef PATCHED
	state = 1;
#endif
	return callee(x) + callee(x + 1) + state;
}
