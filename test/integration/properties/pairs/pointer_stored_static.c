// The same for a static one whose address is passed on in a register, and stored in a table on the stack.
// expect: changed handler install
// expect: klp handler
#include "kernel.h"
struct timer { int (*call)(int); };
void setup(struct timer *timer, int (*call)(int));
static noinline int handler(int x) {
#ifdef PATCHED
	if (x == 7) return -1;
#endif
	return x + (int)get();
}
void install(struct timer *timer) {
	struct timer local = { handler };
#ifdef PATCHED
	printk("install\n");
#endif
	setup(timer, handler);
	use(&local);
}
