// The replacement code of an alternative, which no symbol covers.
// compilers: gcc clang
// expect: changed f
#include "kernel.h"
#ifdef PATCHED
#define NEW "sfence"
#else
#define NEW "lfence"
#endif
#define ALTERNATIVE(new) asm volatile("661: mfence\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 663f - .\n.word 26\n" \
	".byte 662b-661b\n.byte 664f-663f\n.popsection\n.pushsection .altinstr_replacement,\"ax\"\n663: " new "\n664: .popsection" : : : "memory")
int f(int x) { ALTERNATIVE(NEW); return x + (int)get(); }
int g(int x) { ALTERNATIVE("lfence"); return x - (int)get(); }
