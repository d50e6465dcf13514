// Two blocks with static locals of one name and type change places: pairing them by the block's position would exchange the
// variables.
// expect: changed f
// expect: klp n
// or-refused: ambiguous-symbol f
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	x += 3;
	if (!(x & 1)) { static int n __section(".data.tag.sub"); n -= 2 * x; x = n + (int)get(); }
	if (x & 1) { static int n __section(".data.tag.add"); n += x; x = n * (int)get(); }
#else
	if (x & 1) { static int n __section(".data.tag.add"); n += x; x = n * (int)get(); }
	if (!(x & 1)) { static int n __section(".data.tag.sub"); n -= 2 * x; x = n + (int)get(); }
#endif
	return x;
}
