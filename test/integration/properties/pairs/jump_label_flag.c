// A static branch by the same key, the other way round (bit 0 of the entry's key).
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
struct key { int enabled; };
extern struct key one;
#ifdef PATCHED
#define FLAG 1
#else
#define FLAG 0
#endif
#define static_branch(key, flag) ({ int r; asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n.pushsection __jump_table,\"aw\"\n.balign 8\n" \
	".long 1b - .\n.long %l[yes] - .\n.quad %c0 + %c1 - .\n.popsection" : : "i"(&key), "i"(flag) : : yes); r = 0; if (0) { yes: r = 1; } r; })
int f(int x) { if (static_branch(one, FLAG)) printk("f\n"); return x; }
int g(int x) { if (static_branch(one, 1)) printk("g\n"); return x; }
