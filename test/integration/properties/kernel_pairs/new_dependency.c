// A module calls another one on which it does not depend: nothing keeps that one loaded.
// object: zram
// exported-by: zsmalloc zs_new
// expect: refused new-dependency f
#include "../pairs/kernel.h"
int zs_new(int x);
int f(int x) {
#ifdef PATCHED
	x = zs_new(x);
#endif
	return x + (int)get();
}
