// A changed function that another changed one calls: no klp relocation to the old one.
// expect: changed handler caller
// expect: no-klp handler
#include "kernel.h"
static noinline int handler(int x) {
#ifdef PATCHED
	if (x == 7) return -1;
#endif
	return x + (int)get();
}
int caller(int x) {
#ifdef PATCHED
	printk("caller\n");
#endif
	return handler(x) + handler(x + 1) * 2;
}
