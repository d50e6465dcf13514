// A function that runs only when its module is unloaded cannot be redirected.
// expect: refused exit-code tear_down
#include "kernel.h"
void __section(".exit.text") tear_down(int x) {
#ifdef PATCHED
	x++;
#endif
	printk("down %d\n", x);
}
