// A static local of an inline function whose user changes: now inlined elsewhere, still one variable.
// expect: changed f g
// expect: klp n
// expect: data
#include "kernel.h"
static always_inline int count(int x) { static int n __section(".data.tag.count"); n += x; return n; }
int f(int x) {
#ifdef PATCHED
	return x + (int)get();
#else
	return count(x) + (int)get();
#endif
}
int g(int x) {
#ifdef PATCHED
	x = count(x);
#endif
	return x * (int)get();
}
int h(int x) { return count(x) * 3; }
