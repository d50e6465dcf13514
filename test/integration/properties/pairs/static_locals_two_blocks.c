// Two of one name in blocks of one function, used differently.
// expect: changed f
// or-refused: ambiguous-symbol f
// expect: klp n
// expect: data
#include "kernel.h"
int f(int x) {
#ifdef PATCHED
	x += 3;
#endif
	if (x & 1) {
		static int n;
		n += x;
		return n * (int)get();
	} else {
		static int n;
		n -= 2 * x;
		return n + (int)get();
	}
}
