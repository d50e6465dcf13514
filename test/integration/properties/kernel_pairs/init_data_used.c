// Patched code refers to boot-time data of another file, which is gone from memory.
// shipped-flags: -DSHIPPED
// kernel-lacks: boot_option
// expect: refused init-code f
#include "../pairs/kernel.h"
#ifdef SHIPPED
int boot_option __section(".init.data") = 3;
#else
extern int boot_option;
#endif
int f(int x) {
#ifdef PATCHED
	x += boot_option;
#endif
	return x + (int)get();
}
