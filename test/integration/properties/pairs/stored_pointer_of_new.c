// The address of a new function is stored where it outlives the patch.
// expect: changed install
// expect: new handler
// or-refused: escaping-address install
#include "kernel.h"
struct ops { int (*call)(int); } ops;
#ifdef PATCHED
static int handler(int x) { return x + (int)get(); }
#endif
void install(void) {
#ifdef PATCHED
	ops.call = handler;
#endif
	printk("install\n");
}
