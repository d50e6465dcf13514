// A number became a bit-field at the same offset.
// expect: changed f
// expect: refused changed-layout s
#include "kernel.h"
struct s {
#ifdef PATCHED
	unsigned a : 4;
#else
	unsigned a;
#endif
	long b;
};
long f(struct s *s) { return s->a + get(); }
