// The struct that grew is a part of another one: it is the cause.
// expect: changed f
// expect: refused changed-layout inner
#include "kernel.h"
struct inner { long a;
#ifdef PATCHED
	long b;
#endif
};
struct outer { struct inner in; long last; };
long f(struct outer *o) { return o->last + get(); }
