// A block with a static local of the same name and type appears in front.
// expect: changed f
// expect: klp n
// or-refused: ambiguous-symbol f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	if (x > 40) { static int n __section(".data.tag.fresh"); n -= 2 * x; x = n + (int)get(); }
#endif
	if (x & 1) { static int n __section(".data.tag.add"); n += x; x = n * (int)get(); }
	return x;
}
