// A function without an ftrace site is carried by those who call it.
// expect: changed helper
// expect: lifted f g
#include "kernel.h"
static noinline notrace int helper(int x) {
#ifdef PATCHED
	x += 5;
#endif
	return x * (int)get();
}
int f(int x) { return helper(x) + 1; }
int g(int x) { return helper(x + 1) + 2; }
int other(int x) { return x; }
