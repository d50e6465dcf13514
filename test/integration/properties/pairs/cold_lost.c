// A function loses its cold part.
// compilers: gcc
// expect: changed f
#include "kernel.h"
int f(int x) {
#ifndef PATCHED
	if (x > 1000) { printk("too much\n"); bad(); printk("too much, again\n"); return -1; }
#endif
	return x + (int)get();
}
