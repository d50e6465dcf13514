// A static branch whose key is another one.
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
struct key { int enabled; };
extern struct key one, two;
#define static_branch(key) ({ int r; asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - .\n" \
	".long %l[yes] - .\n.quad %c0 - .\n.popsection" : : "i"(&key) : : yes); r = 0; if (0) { yes: r = 1; } r; })
int f(int x) {
#ifdef PATCHED
	if (static_branch(two)) printk("f\n");
#else
	if (static_branch(one)) printk("f\n");
#endif
	return x;
}
