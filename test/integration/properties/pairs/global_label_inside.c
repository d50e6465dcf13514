// A global label inside of a function that is called from elsewhere (return thunks, exception entries).
// expect: changed g
// or-refused: unsupported-relocation g
#include "kernel.h"
int my_entry(int x);
int f(int x) { asm volatile(".globl my_entry\nmy_entry: nop" : "+r"(x)); return x - (int)get(); }
int g(int x) {
#ifdef PATCHED
	x += 2;
#endif
	return my_entry(x) + 1;
}
