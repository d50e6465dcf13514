// A member behind the old end: objects that were allocated before are too short.
// expect: changed f
// expect: refused changed-layout s
#include "kernel.h"
struct s { long a;
#ifdef PATCHED
	long b;
#endif
};
long f(struct s *s) {
#ifdef PATCHED
	s->b = 1;
#endif
	return s->a + get();
}
