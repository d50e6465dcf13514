// The same strings, laid out in another order: nothing changes.
// expect: removed unused
#include "kernel.h"
#ifndef PATCHED
void unused(void) { printk("only here, in front of the others\n"); }
#endif
void f(void) { printk("first\n"); printk("second\n"); }
void g(void) { printk("third\n"); use("second\n"); }
