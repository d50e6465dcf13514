// The same where the enumeration has no name: a bit's number.
// expect: changed f
// expect: refused changed-layout FIRST
#include "kernel.h"
enum { FIRST,
#ifdef PATCHED
	BETWEEN,
#endif
	SECOND,
};
long f(long flags) { return flags & (1 << SECOND | 1 << FIRST) ? get() : 0; }
