// Only the cold part differs: its parent is redirected.
// compilers: gcc
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define TEXT "new\n"
#else
#define TEXT "old\n"
#endif
int f(int x) {
	if (x > 1000) { printk(TEXT); bad(); printk("too much, again\n"); return -1; }
	return x + (int)get();
}
