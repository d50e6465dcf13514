// A function that the patch leaves alone is another one in the shipped kernel: the source is not that kernel's.
// shipped-flags: -DSHIPPED
// expect: refused identity-mismatch g
#include "../pairs/kernel.h"
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + (int)get();
}
#ifdef SHIPPED
int g(int x) { return x * 3 + (int)get(); }
#else
int g(int x) { return x * 5 + (int)get(); }
#endif
