// Partial inlining splits a function into .part and the inlined test.
// compilers: gcc
// flags: -fpartial-inlining
// expect: changed helper.part
#include "kernel.h"
static int helper(int *p) {
	if (!p) return 0;
	for (int i = 0; i < 100; i++) { printk("%d\n", p[i]); use(p + i); p[i] += (int)get(); }
#ifdef PATCHED
	printk("end\n");
#else
	printk("finished\n");
#endif
	for (int i = 0; i < 100; i++) { printk("%d\n", p[i]); use(p - i); p[i] += (int)get(); }
	return p[0];
}
int f(int *p) { return helper(p) + 1; }
int g(int *p) { return helper(p + 1) + 2; }
int h(int *p) { return helper(p + 2) + 3; }
