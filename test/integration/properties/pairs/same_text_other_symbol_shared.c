// The same in one section, where the object only knows section + offset.
// expect: changed f
// expect: klp two
#include "kernel.h"
static int one[4] __read_mostly, two[4] __read_mostly;
int f(int x) {
#ifdef PATCHED
	two[1] = x;
#else
	one[1] = x;
#endif
	return (int)get();
}
int g(int x) { one[x & 3]++; two[x & 3]--; return one[1] - two[2]; }
