// A call at the end becomes a jump.
// expect: changed f
// expect: klp target
#include "kernel.h"
static noinline int target(int x) { return x + (int)get(); }
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	return target(x);
}
int g(int x) { return target(x) * 2; }
