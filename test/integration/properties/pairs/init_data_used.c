// Boot-time data that patched code begins to use.
// expect: refused init-code f
#include "kernel.h"
static int setting __section(".init.data") = 3;
int __section(".init.text") setup(void) { return setting++; }
int f(int x) {
#ifdef PATCHED
	x += setting;
#endif
	return x + (int)get();
}
