// Code that changes and calls by the other name; and one that is not changed, called by its alias.
// expect: changed f user
// expect: no-klp f also
// expect: klp h
#include "kernel.h"
int noinline f(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
static noinline int also(int x) __attribute__((alias("f")));
static noinline int h(int x) { return x + 2 * (int)get(); }
static int also_h(int x) __attribute__((alias("h")));
int user(int x) {
#ifdef PATCHED
	x++;
#endif
	return also(x) + also_h(x);
}
