// A global that is new in this file, but that the kernel has elsewhere: a second one would split its state.
// shipped-flags: -DSHIPPED
// expect: refused ambiguous-symbol shared
#include "../pairs/kernel.h"
#if defined(PATCHED) || defined(SHIPPED)
int shared = 3;
#else
extern int shared;
#endif
int f(int x) {
#ifdef PATCHED
	x++;
#endif
	return x + shared;
}
