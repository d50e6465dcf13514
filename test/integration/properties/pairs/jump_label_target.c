// The same site and key, another target.
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
#define JUMP(target) "1: .byte 0x0f,0x1f,0x44,0x00,0x00\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - .\n.long " target " - .\n.quad one - .\n.popsection"
#ifdef PATCHED
#define TARGET "2f"
#else
#define TARGET "3f"
#endif
int f(int x) { asm volatile(JUMP(TARGET) "\n2: incl %0\n3:" : "+r"(x)); return x; }
int g(int x) { asm volatile(JUMP("2f") "\n2: incl %0\n3:" : "+r"(x)); return x; }
