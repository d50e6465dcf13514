// A static local moves into a helper that is inlined again: it keeps its state, it is no new variable.
// expect: changed f
// expect: klp done
#include "kernel.h"
#ifdef PATCHED
static always_inline void do_it_once(int x)
{
	static int done;
	if (!done) { printk("once %d\n", x); done = 1; }
}
void f(int x) { do_it_once(x); printk("f2\n"); }
#else
void f(int x)
{
	static int done;
	if (!done) { printk("once %d\n", x); done = 1; }
	printk("f1\n");
}
#endif
