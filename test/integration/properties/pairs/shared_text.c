// Functions in sections that several share; one changes size, the others only move.
// expect: changed second
// expect: klp first
#include "kernel.h"
#define SCHED __section(".sched.text")
static noinline SCHED int first(int x) { return x + (int)get(); }
int noinline SCHED second(int x) {
#ifdef PATCHED
	printk("second\n");
#endif
	return x - (int)get() + first(x);
}
static noinline SCHED int third(int x) { return first(x) * 3 + (int)get(); }
int SCHED fourth(int x) { return third(x) * 5 + second(x) + first(x); }
int SCHED fifth(int x) {
	if (x & 1) return third(x + 2);
	return first(x) * (int)get();
}
int __section(".ref.text") user(int x) { return second(third(x)); }
int again(int x) { return first(x) + third(x); }
