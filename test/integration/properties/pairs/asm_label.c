// A label in inline assembly, seen in the symbol table, is no function.
// expect: changed f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	asm volatile("my_label: nop\n.L_local: nop\n" ::: "memory");
	return x + (int)get();
}
int g(int x) { asm volatile("my_global: .globl my_global\n nop"); return x - (int)get(); }
