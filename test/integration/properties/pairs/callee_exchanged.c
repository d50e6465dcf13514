// Another function is called at the same place.
// expect: changed f
// expect: klp two
#include "kernel.h"
static noinline int one(int x) { return x + (int)get(); }
static noinline int two(int x) { return x - (int)get(); }
int f(int x) {
#ifdef PATCHED
	return two(x) * 2;
#else
	return one(x) * 2;
#endif
}
int g(int x) { return one(x) * 3 + two(x + 1); }
