// A member's type changed, its size did not.
// expect: changed f
// expect: refused changed-layout s
#include "kernel.h"
struct s {
#ifdef PATCHED
	unsigned a;
#else
	int a;
#endif
};
long f(struct s *s) { return s->a + get(); }
