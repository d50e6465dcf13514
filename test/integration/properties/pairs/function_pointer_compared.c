// A function whose address is compared: the original's.
// expect: changed f handler
// expect: klp handler
#include "kernel.h"
struct timer { void (*call)(struct timer *); };
static noinline void handler(struct timer *t) {
#ifdef PATCHED
	printk("handler\n");
#endif
	use(t);
}
int f(struct timer *t) {
#ifdef PATCHED
	printk("f\n");
#endif
	return t->call == handler;
}
void install(struct timer *t) { t->call = handler; }
