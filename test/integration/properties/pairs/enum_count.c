// The last enumerator only counts the others.
// expect: changed f
// expect: note changed-layout kind
#include "kernel.h"
enum kind { KIND_FIRST,
#ifdef PATCHED
	KIND_SECOND,
#endif
	KIND_MAX,
};
long f(long k) { return k < KIND_MAX && k != KIND_FIRST ? get() : 0; }
