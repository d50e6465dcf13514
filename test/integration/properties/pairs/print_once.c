// Guards of messages start anew, whatever their number.
// expect: changed f
// expect: data __already_done
#include "kernel.h"
#define printk_once(text) ({ static _Bool __section(".data.once") __already_done; \
	if (__builtin_expect(!__already_done, 0)) { __already_done = 1; printk(text); } })
#ifdef PATCHED
void another(void) { printk_once("another\n"); }
#endif
int f(int x) {
	printk_once("f\n");
#ifdef PATCHED
	x++;
#endif
	return x;
}
int g(int x) { printk_once("g\n"); return x; }
