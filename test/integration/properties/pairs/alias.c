// Two names of one function: one place to redirect.
// expect: changed f
#include "kernel.h"
int noinline f(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
int also(int x) __attribute__((alias("f")));
int __weak perhaps(int x) __attribute__((alias("f")));
int user(int x) { return also(x) + perhaps(x) + f(x); }
