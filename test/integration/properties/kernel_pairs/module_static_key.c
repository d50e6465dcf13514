// A static key of the module itself: the entry is used before the key's address is known, so that the site tests the key.
// object: zram
// compilers: gcc clang
// expect: changed f
// expect: klp own
#include "../pairs/kernel.h"
struct key { int enabled; } own = { 1 };
#define static_branch(key) ({ int r; asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - .\n" \
	".long %l[yes] - .\n.quad %c0 - .\n.popsection" : : "i"(&key) : : yes); r = 0; if (0) { yes: r = 1; } r; })
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	if (static_branch(own)) printk("f\n");
	return x;
}
