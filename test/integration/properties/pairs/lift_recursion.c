// Functions without a site that call each other.
// expect: changed down
// expect: lifted up f
#include "kernel.h"
static int up(int x);
static noinline notrace int down(int x) {
#ifdef PATCHED
	x += 5;
#endif
	use(&x);
	return x > 3 ? up(x / 2) + (int)get() : x;
}
static noinline notrace int up(int x) { use(&x); return x < 100 ? down(x * 3) - (int)get() : x; }
int f(int x) { return up(x) + 1; }
