// A bool became the bit that it had used alone, beside a new one: each understands what the other stored.
// expect: changed f
// expect: note changed-layout s
#include "kernel.h"
struct s {
#ifdef PATCHED
	_Bool a : 1, b : 1;
#else
	_Bool a;
#endif
};
long f(struct s *s) {
#ifdef PATCHED
	s->b = 1;
#endif
	return s->a + get();
}
