// A function gains a cold part.
// compilers: gcc
// expect: changed f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	if (x > 1000) { printk("too much\n"); bad(); printk("too much, again\n"); return -1; }
#endif
	return x + (int)get();
}
int g(int x) {
	if (x > 500) { printk("g\n"); bad(); return -1; }
	return x * (int)get();
}
