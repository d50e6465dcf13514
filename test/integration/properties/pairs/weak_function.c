// A weak function is one like any other when nothing overrides it.
// expect: changed overridable
#include "kernel.h"
int __weak overridable(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
int user(int x) { return overridable(x); }
