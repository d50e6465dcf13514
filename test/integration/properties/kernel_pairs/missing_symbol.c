// The patched code calls what the running kernel does not have.
// kernel-lacks: brand_new
// expect: refused missing-symbol f
#include "../pairs/kernel.h"
int brand_new(int x);
int f(int x) {
#ifdef PATCHED
	x = brand_new(x);
#endif
	return x + (int)get();
}
