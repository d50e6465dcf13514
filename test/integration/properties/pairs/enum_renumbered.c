// The running kernel has the old number of `second` in its memory.
// expect: changed f
// expect: refused changed-layout kind
#include "kernel.h"
enum kind { first,
#ifdef PATCHED
	between,
#endif
	second,
};
long f(enum kind k) { return k == second ? get() : first; }
