// Two functions with a static local of the same name; a third one with such a variable appears in front.
// expect: changed f
// expect: klp n
// expect: new added
// expect: data n
#include "kernel.h"
#ifdef PATCHED
static noinline int added(int x) { static int n = 100; n += x; return n; }
#endif
int f(int x) {
	static int n = 1;
	n += x;
#ifdef PATCHED
	x = added(x);
#endif
	return n * (int)get() + x;
}
int g(int x) { static int n = 2; n -= x; return n * (int)get(); }
