// Boot-time code has run.
// expect: refused init-code setup
#include "kernel.h"
int __section(".init.text") setup(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
