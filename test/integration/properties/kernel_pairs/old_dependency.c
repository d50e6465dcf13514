// One on which it depends already may be called.
// object: zram
// exported-by: zsmalloc zs_new zs_old
// expect: changed f
#include "../pairs/kernel.h"
int zs_new(int x);
int zs_old(int x);
int f(int x) {
#ifdef PATCHED
	x = zs_new(x);
#endif
	return x + zs_old(x);
}
