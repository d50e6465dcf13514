// Names that hold a counter.
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
static const char __UNIQUE_ID(info)[] __used __section(".modinfo") = "more=1";
#endif
#define PRIVATE(name, v) ({ static int __section(".data.unique") name = v; name++; })
int f(int x) {
	printk("%d\n", x);
#ifdef PATCHED
	x++;
#endif
	return x;
}
static const char __UNIQUE_ID(info)[] __used __section(".modinfo") = "license=GPL";
