// Code outside calls through the member as before. The struct stands in a header, as far as the compiler is told.
// expect: changed show
// expect: refused changed-prototype show
#include "kernel.h"
# 1 "ops.h"
struct ops {
#ifdef PATCHED
	long (*show)(long, long);
#else
	long (*show)(long);
#endif
};
# 18 "prototype_in_ops.c"
#ifdef PATCHED
static long show(long x, long y) { return x + y + get(); }
#else
static long show(long x) { return x + get(); }
#endif
struct ops ops = { show };
