// A function pointer that patched code stores must be the original one: it may outlive the patch. A call goes to the copy.
// expect: changed handler install
// expect: klp handler ops
#include "kernel.h"
struct ops { int (*call)(int); } ops;
noinline int handler(int x) {
#ifdef PATCHED
	if (x == 7) return -1;
#endif
	return x + (int)get();
}
void install(void) {
#ifdef PATCHED
	printk("install\n");
#endif
	ops.call = handler;
}
