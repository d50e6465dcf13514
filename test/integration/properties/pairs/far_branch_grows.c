// A branch that becomes long because of a change between: only its own function.
// expect: changed f
#include "kernel.h"
int f(int x) {
	if (x > 5) {
		printk("a\n"); printk("b\n"); printk("c\n"); printk("d\n"); printk("e\n"); printk("f\n"); printk("g\n");
#ifdef PATCHED
		printk("h\n"); printk("i\n"); printk("j\n"); printk("k\n"); printk("l\n"); printk("m\n");
#endif
	}
	return x + (int)get();
}
int g(int x) { if (x > 5) printk("a\n"); return x; }
