// A unit whose code did not change is done before any type is looked at.
// expect: unchanged
#include "kernel.h"
struct s { long a;
#ifdef PATCHED
	long b;
#endif
};
long f(struct s *s) { return s->a + get(); }
